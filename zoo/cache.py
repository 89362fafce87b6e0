"""The one folder that zoovet keeps things in between runs."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

from zoo import files
from zoo.errors import StorageError

T = TypeVar("T")

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
    """SHA-256 of a file's content, hexadecimal; read from the cache while the file's size and time are unchanged."""
    path = path.resolve()
    status = path.stat()
    stamp = [str(path), status.st_size, status.st_mtime_ns]
    note = f"digests/{hashlib.sha256(str(path).encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.json"
    known = recall(note, lambda content: str(content["sha256"]) if content["stamp"] == stamp else None)
    if known is not None:
        return known
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    remember(note, {"stamp": stamp, "sha256": digest})
    return digest


def recall(name: str, understand: Callable[[Any], T]) -> T | None:
    """What ``understand`` makes of the JSON file ``name``; ``None`` where it is absent or damaged.

    Args:
        name: Its path in the cache.
        understand: May raise whatever a damaged content leads to.
    """
    try:
        return understand(json.loads((root() / name).read_text("utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def remember(name: str, content: Any, *, plain: Callable[[Any], Any] | None = None) -> None:
    """Write the JSON file ``name``, whole or not at all.

    The cache is a convenience: where nothing can be written, it is measured again next time.

    Args:
        name: Its path in the cache.
        content: What is kept.
        plain: Turns what JSON cannot hold into what it can.
    """
    try:
        with replacing(root() / name) as part:
            part.write_text(json.dumps(content, indent=1, default=plain), "utf-8")
    except (StorageError, UnicodeEncodeError):
        return
