"""Which content a file has, without reading it again: files that look untouched keep the digest they had."""

from __future__ import annotations

import os
import stat
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zoo import cache
from zoo.data.decode import UnusableImage
from zoo.data.files import read_file
from zoo.store import Digests, Table, as_digests, digest, mark_used

# A file that was changed less than this before it was read may be changed again without its times showing it: clocks
# of file systems are coarse, 2 s on FAT. Git calls such a file racily clean.
_COARSEST_CLOCK = 2 * 10**9


@dataclass(frozen=True, kw_only=True)
class Content:
    """One file as it was read.

    Attributes:
        data: All of it.
        digest: Its name, 16 bytes.
        stamp: What it looked like from outside, 16 bytes; ``None`` where it was changed a moment ago.
    """

    data: bytes
    digest: bytes
    stamp: bytes | None


class Contents:
    """The digests of files seen before, kept in the cache; shared by all data sets and processes.

    A file is known again by name (without its folder), size, inode and both times, so moving a folder costs nothing.
    """

    def __init__(self) -> None:
        folder = cache.root() / "contents-1"
        self.table = Table(folder, np.dtype(("<u8", (2,))))
        mark_used(folder)

    def recall(self, files: Sequence[str]) -> tuple[Digests, npt.NDArray[np.bool_]]:
        """The digests ``(n, 2)`` of files, as far as they are known, and which are, ``(n,)``."""
        self.table.refresh()
        looks = [_look(file) for file in files]
        seen = np.fromiter((look is not None for look in looks), dtype=bool, count=len(looks))
        digests = np.zeros((len(files), 2), dtype=np.uint64)
        known = np.zeros(len(files), dtype=bool)
        found = self.table.locate(as_digests([look for look in looks if look is not None]))
        positions = np.flatnonzero(seen)[found >= 0]
        digests[positions] = self.table.read(found[found >= 0])
        known[positions] = True
        return digests, known


def read(file: str) -> Content:
    """Reads a file whole.

    Raises:
        UnusableImage: It cannot be read, with the reason.
    """
    before = time.time_ns()
    try:
        status = os.stat(file)  # noqa: PTH116 - a million files: no Path for each
    except (OSError, ValueError):
        status = None  # read_file tells why
    data = read_file(file)
    settled = status is not None and before - max(status.st_mtime_ns, status.st_ctime_ns) > _COARSEST_CLOCK
    stamp = _stamp(file, status) if status is not None and settled and status.st_size == len(data) else None
    return Content(data=data, digest=digest(data), stamp=stamp)


def _look(file: str) -> bytes | None:
    try:
        status = os.stat(file)  # noqa: PTH116 - a million files: no Path for each
    except (OSError, ValueError):
        return None
    return _stamp(file, status) if stat.S_ISREG(status.st_mode) else None


def _stamp(file: str, status: os.stat_result) -> bytes:
    numbers = struct.pack("<QQqq", status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    return digest(numbers + os.fsencode(file.rpartition(os.sep)[2]))


__all__ = ["Content", "Contents", "UnusableImage", "read"]
