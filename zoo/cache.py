"""The one folder that zoovet keeps things in between runs, and how a file is written so that it is whole or absent."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo import files
from zoo.errors import StorageError
from zoo.files import replacing

_ELSEWHERE = "Make room or mend the permissions, or set ZOO_CACHE and HF_HOME to folders on another disk."


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
        with replacing(path) as part:
            yield part
    except StorageError as error:
        raise StorageError(error.what, remedy=_ELSEWHERE) from error


def storage_error(path: Path, error: OSError) -> StorageError:
    """The message for a file of a cache that could not be written."""
    return StorageError(files.storage_error(error, path).what, remedy=_ELSEWHERE)


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
