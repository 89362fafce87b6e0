"""The one folder that zoovet keeps things in between runs, and how a file is written so that it is whole or absent."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.errors import StorageError


def root() -> Path:
    """The cache folder: ``$ZOO_CACHE`` where set, else the platform's cache folder with ``zoovet`` in it.

    The folder need not exist yet. Deleting it is always safe: everything in it can be made again.
    """
    if chosen := os.environ.get("ZOO_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "zoovet"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "zoovet" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zoovet"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` to write to; when the block ends well it becomes ``path`` in one step.

    Two processes that write the same path at once are safe: the last one wins, and no reader sees half a file.

    Raises:
        StorageError: The disk is full, or the folder may not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
    except OSError as error:
        raise storage_error(path, error) from error
    part = Path(name)
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        part.unlink(missing_ok=True)


def storage_error(path: Path, error: OSError) -> StorageError:
    """The message for a file that could not be written."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageError(
            f"The disk is full: {str(path)!r} could not be written.",
            remedy="Free some space, or set ZOO_CACHE to a folder on another disk.",
        )
    return StorageError(
        f"{str(path)!r} could not be written: {error.strerror or error}.",
        remedy="Give yourself permission to write there, or set ZOO_CACHE to another folder.",
    )


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal; read from the cache while the file's size and time are unchanged.

    The cache is a convenience: where it cannot be written, the digest is computed every time.
    """
    path = path.resolve()
    status = path.stat()
    stamp = [str(path), status.st_size, status.st_mtime_ns]
    note = root() / "digests" / f"{hashlib.sha256(str(path).encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.json"
    try:
        known = json.loads(note.read_text("utf-8"))
        if known["stamp"] == stamp:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no note, or a damaged one: it is made anew
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        with atomic(note) as part:
            part.write_text(json.dumps({"stamp": stamp, "sha256": digest}), "utf-8")
    except (StorageError, UnicodeEncodeError):
        pass
    return digest
