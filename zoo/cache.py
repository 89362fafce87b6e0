"""The one folder that zoovet keeps things in between runs."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from zoo import files
from zoo.errors import StorageError

#: Where in the cache fitted probes are kept.
PROBES = "probes"

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


def replacing(path: Path) -> AbstractContextManager[Path]:
    """As ``zoo.files.replacing``, for a file of a cache: a full disk has another remedy there."""
    return files.replacing(path, remedy=_ELSEWHERE)


def storage_error(error: OSError, path: Path) -> StorageError:
    """The message for a file of a cache that could not be written."""
    return files.storage_error(error, path, remedy=_ELSEWHERE)


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
        with replacing(note) as part:
            part.write_text(json.dumps({"stamp": stamp, "sha256": digest}), "utf-8")
    except (StorageError, UnicodeEncodeError):
        pass
    return digest
