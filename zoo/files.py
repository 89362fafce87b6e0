"""Files that are either wholly there or not there at all."""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from zoo.errors import StorageError

if TYPE_CHECKING:
    import torch

_FULL = {errno.ENOSPC, errno.EDQUOT}
#: Names of temporary files: those of ``replacing``, and those that safetensors makes beside the file it writes.
_TEMPORARY = re.compile(r"\..+\.tmp|\.tmp\w{6}")


@contextmanager
def replacing(path: Path, *, remedy: str | None = None) -> Iterator[Path]:
    """Give a temporary path beside ``path``; when the block ends well, fsync it and rename it over ``path``.

    Processes that write the same path at once are safe: the last one wins, and no reader sees half a file.

    Args:
        path: The file; folders that it lies in are made.
        remedy: What a person is told to do where the disk refuses; by default what helps in a run folder.

    Raises:
        StorageError: The disk is full or may not be written. What was at ``path`` before is still there.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        mode = temporary.stat().st_mode
        yield temporary
        _sync(temporary)
        temporary.chmod(mode)  # some writers put a private file of their own in its place
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise storage_error(error, path, remedy=remedy) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def storage_error(error: OSError, path: Path, *, remedy: str | None = None) -> StorageError:
    """What an ``OSError`` while writing ``path`` means to a person."""
    if error.errno in _FULL:
        return StorageError(
            f"The disk is full: {path} could not be written. What was saved before is unharmed.",
            remedy=remedy or "Make room, then go on with `zoo resume RUN`.",
        )
    return StorageError(
        f"{path} could not be written ({error.strerror or error}).",
        remedy=remedy or "Check the folder's permissions.",
    )


def refusal(error: BaseException) -> OSError:
    """What the operating system said, where a library in C++ or Rust tells of a failed write in words of its own.

    Raises:
        BaseException: ``error`` itself, where no ``OSError`` is behind it.
    """
    if number := re.search(r"os error (\d+)", str(error)):  # std::io::Error, through safetensors
        return OSError(int(number[1]), os.strerror(int(number[1])))
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__  # torch.save fails again while it closes the archive
    if cause is None:
        raise error
    return cause


def sweep(folder: Path, *, age: float = 0.0) -> None:
    """Remove temporary files that killed processes left in and below ``folder``.

    Args:
        folder: It need not exist.
        age: Seconds since the last write to a file, from which on nobody can still be writing it.
    """
    for path in folder.rglob(".*"):
        try:
            if _TEMPORARY.fullmatch(path.name) and time.time() - path.stat().st_mtime >= age:
                path.unlink()
        except OSError:  # gone meanwhile, or not ours to remove
            continue


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically. Names that are not UTF-8 keep their bytes."""
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", errors="surrogateescape"))


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically. Names that are not UTF-8 survive as escaped surrogates."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=True) + "\n")


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write a state dict as safetensors, atomically."""
    from safetensors import SafetensorError  # imported here: what writes text needs no torch
    from safetensors.torch import save_file

    with replacing(path) as temporary:
        try:
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary)
        except SafetensorError as error:
            raise refusal(error) from error


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
