"""Pictures that have no file of their own yet become files in the cache, once."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from zoo.cache import root as cache_root
from zoo.data.names import printable
from zoo.errors import StorageError

#: ``fill`` writes this file into the folder; without it the folder is not whole (a cleaner may have been at it).
INDEX = "index.json"


def once(kind: str, key: str, fill: Callable[[Path], None], *, needed: int = 0) -> Path:
    """The folder ``kind/key`` of the cache, filled by ``fill`` if it is not there yet.

    It appears in one step when it is whole: neither a crash nor a second process leaves or sees half of it.

    Args:
        kind: What it holds ("zip").
        key: Says what is in it: equal keys, equal content.
        fill: Puts the files into the folder that it is given, and writes ``INDEX``.
        needed: Bytes that ``fill`` will write, as far as known.

    Raises:
        StorageError: The disk has not enough room, or may not be written.
    """
    folder = cache_root() / kind / key
    if (folder / INDEX).is_file():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _require_room(folder.parent, needed)
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{key}."))
        try:
            fill(part)
            _publish(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise _storage_error(folder, error) from error
    return folder


def _publish(part: Path, folder: Path) -> None:
    if not (folder / INDEX).is_file():
        shutil.rmtree(folder, ignore_errors=True)
    try:
        part.rename(folder)
    except OSError:
        if not (folder / INDEX).is_file():  # else another process was quicker, with the same content
            raise


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(errno.ENOSPC, f"{needed / 2**30:.1f} GiB are needed, {free / 2**30:.1f} GiB are free")


def _storage_error(folder: Path, error: OSError) -> StorageError:
    where = printable(str(folder))
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            f"The disk is full: {where} ({error.strerror}).",
            remedy="Free some space, or set ZOO_CACHE to a folder on another disk.",
        )
    return StorageError(
        f"The cache cannot be written: {where} ({error.strerror}).", remedy="Set ZOO_CACHE to a folder of yours."
    )
