"""Files that are either wholly there or not there at all."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import StorageError

if TYPE_CHECKING:
    import torch

_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; when the block ends well, fsync it and rename it over ``path``.

    Raises:
        StorageError: The disk is full or may not be written. What was at ``path`` before is still there.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        os.close(descriptor)
        temporary = Path(name)
        yield temporary
        _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        temporary = None
        _sync(path.parent)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def storage_error(error: OSError, path: Path) -> StorageError:
    """What an ``OSError`` while writing ``path`` means to a person."""
    if error.errno in _FULL:
        return StorageError(
            f"The disk is full: {path} could not be written. What was saved before is unharmed.",
            remedy="Make room, then go on with `zoo resume RUN`.",
        )
    return StorageError(
        f"{path} could not be written ({error.strerror or error}).", remedy="Check the folder's permissions."
    )


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically. Names that are not UTF-8 keep their bytes."""
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", errors="surrogateescape"))


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically. Names that are not UTF-8 survive as escaped surrogates."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=True) + "\n")


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write a state dict as safetensors, atomically."""
    from safetensors.torch import save_file  # 1 s with torch, which commands that only read need not pay

    with replacing(path) as temporary:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary)


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
