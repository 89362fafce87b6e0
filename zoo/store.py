"""A table of fixed-size rows on the disk, found by the digest of what they were computed from.

A table is a folder of shards. A shard is written once, whole or not at all (temporary file, fsync, rename), and never
changed, so any number of processes may read and write at once and any of them may be killed at any moment. Rows are
mapped into memory, not read. Small shards are merged now and then.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from zoo import cache
from zoo.files import sweep

#: Digests, ``(n, 2)``: two words each.
Digests = npt.NDArray[np.uint64]

_MAGIC = b"zoorows1"
_HEADER = np.dtype([("magic", "S8"), ("rows", "<u8"), ("row_bytes", "<u8"), ("checksum", "<u8")])
_SMALL = 32 * 2**20  # bytes; a larger shard is never rewritten
_MANY = 16  # small shards at which they are merged
_STALE = 3600  # seconds after which a temporary file was left by a process that died
_AT_ONCE = 4096  # rows held in memory before they are written, or while shards are merged
_FLUSH_SECONDS = 20  # of work that a killed process loses at most


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One file: digests in ascending order, and a row of each.

    Attributes:
        path: Where it lies.
        digests: ``(n, 2)``.
        rows: ``(n, ...)``, mapped.
    """

    path: Path
    digests: Digests
    rows: npt.NDArray[np.generic]


class Table:
    """Rows of one kind.

    Args:
        folder: Where the shards lie; made when the first row is stored.
        dtype: Of one row; a sub-array dtype such as ``("f2", (1280,))`` for vectors.
    """

    def __init__(self, folder: Path, dtype: np.dtype[np.generic]) -> None:
        self.folder = folder
        self.dtype = dtype
        self.refresh()

    def refresh(self) -> None:
        """Sees what was stored since the table was opened, by this process and by others."""
        self._shards = tuple(_open_all(self.folder, self.dtype))

    def __len__(self) -> int:
        return sum(len(shard.digests) for shard in self._shards)

    def locate(self, digests: Digests) -> npt.NDArray[np.int64]:
        """The row number of each digest, ``(n,)``; -1 where there is none. Valid until ``refresh``."""
        found = np.full(len(digests), -1, dtype=np.int64)
        order = np.argsort(digests[:, 0], kind="stable")  # ascending queries keep the search in the processor's cache
        offset = 0
        for shard in self._shards:
            missing = order[found[order] < 0]
            found[missing] = _search(shard.digests, digests[missing], offset)
            offset += len(shard.digests)
        return found

    def read(
        self, numbers: npt.NDArray[np.int64], out: npt.NDArray[np.generic] | None = None
    ) -> npt.NDArray[np.generic]:
        """The rows that ``locate`` found, ``(n, ...)``, in that order; into ``out`` where given."""
        if out is None:
            out = np.empty(len(numbers), dtype=self.dtype)
        _take(self._shards, numbers, out)
        return out

    def append(self, digests: Digests, rows: npt.NDArray[np.generic]) -> None:
        """Stores rows. Digests that are stored already do no harm.

        Raises:
            StorageError: The disk is full, or may not be written.
        """
        if not len(digests):
            return
        order = np.lexsort((digests[:, 1], digests[:, 0]))
        _write(self.folder / f"{uuid4().hex}.rows", digests[order], self.dtype, [rows[order]])
        if sum(1 for _ in self._small()) >= _MANY:
            self.compact()

    def compact(self) -> None:
        """Merges the small shards into one, and removes what killed processes left; skipped where another does it."""
        with _lock(self.folder / "lock") as mine:
            if not mine:
                return
            sweep(self.folder, age=_STALE)
            shards = [shard for path in self._small() if (shard := _open(path, self.dtype)) is not None]
            if len(shards) < 2:
                return
            digests = np.concatenate([shard.digests for shard in shards])
            digests, first = np.unique(digests, axis=0, return_index=True)
            path = self.folder / f"{uuid4().hex}.rows"
            _write(path, digests, self.dtype, _gather(shards, first, self.dtype))
            for shard in shards:
                shard.path.unlink(missing_ok=True)

    def _small(self) -> Iterator[Path]:
        for path in _paths(self.folder):
            try:
                if path.stat().st_size < _SMALL:
                    yield path
            except FileNotFoundError:  # merged by another process meanwhile
                continue


class Writer:
    """Collects rows and stores them some thousand, or some seconds' worth, at a time. Not for several threads.

    Args:
        table: Where they go.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._names: list[bytes] = []
        self._rows: list[npt.NDArray[np.generic]] = []
        self._since = time.monotonic()

    def add(self, names: Sequence[bytes], rows: npt.NDArray[np.generic]) -> None:
        """Takes a row for each digest."""
        self._names.extend(names)
        self._rows.append(rows)
        if len(self._names) >= _AT_ONCE or time.monotonic() - self._since > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Stores what was collected. Raises ``StorageError`` as ``Table.append`` does."""
        if self._names:
            names, rows = self._names, np.concatenate(self._rows)
            self._names, self._rows = [], []
            self._table.append(as_digests(names), rows)
        self._since = time.monotonic()


def row_bytes(folder: Path) -> int | None:
    """Bytes of a row of the table in ``folder``, as a shard of it says; ``None`` where there is none."""
    for path in _paths(folder):
        try:
            with path.open("rb") as file:
                header = np.frombuffer(file.read(_HEADER.itemsize), dtype=_HEADER)
        except (FileNotFoundError, ValueError):  # merged meanwhile, or cut inside the header
            continue
        if len(header) and header[0]["magic"] == _MAGIC:
            return int(header[0]["row_bytes"])
    return None


def digest(data: bytes) -> bytes:
    """16 bytes that name a content."""
    return hashlib.blake2b(data, digest_size=16).digest()


def as_digests(names: Sequence[bytes]) -> Digests:
    """Digests as an array, ``(n, 2)``."""
    return np.frombuffer(b"".join(names), dtype=">u8").astype(np.uint64).reshape(-1, 2)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What one table takes, or another folder that can be made again.

    Attributes:
        folder: Where it lies.
        size: Bytes on the disk.
        used: When it was last used, seconds since 1970.
    """

    folder: Path
    size: int
    used: float


def usage(root: Path) -> tuple[Usage, ...]:
    """Every table under ``root``, the one used last first."""
    folders = {path.parent for path in root.rglob("*.rows")} if root.is_dir() else set()
    found = [Usage(folder=folder, size=_size(folder), used=_used(folder)) for folder in folders]
    return _latest_first(found)


def _latest_first(tables: Iterable[Usage]) -> tuple[Usage, ...]:
    return tuple(sorted(tables, key=lambda table: (-table.used, table.folder)))


def prune(tables: Iterable[Usage], limit: int) -> tuple[Usage, ...]:
    """Removes those that were not used for longest until the rest fits into ``limit`` bytes.

    Returns:
        What was removed. A process that has such a table open goes on reading it.
    """
    total, removed = 0, []
    for table in _latest_first(tables):
        total += table.size
        if total > limit:
            shutil.rmtree(table.folder, ignore_errors=True)
            removed.append(table)
    return tuple(removed)


def mark_used(folder: Path) -> None:
    """Notes that a table is in use, for ``prune``. Does nothing where there is no table, or no permission."""
    try:
        (folder / "used").touch()
    except OSError:
        return


def _search(known: Digests, wanted: Digests, offset: int) -> npt.NDArray[np.int64]:
    """Positions in sorted digests, plus ``offset``; -1 where absent."""
    found = np.full(len(wanted), -1, dtype=np.int64)
    position = np.searchsorted(known[:, 0], wanted[:, 0])
    open_ = np.arange(len(wanted))
    while len(open_):  # digests whose first words are equal lie side by side: practically one round
        open_ = open_[position[open_] < len(known)]
        at = known[position[open_]]
        open_, at = open_[at[:, 0] == wanted[open_, 0]], at[at[:, 0] == wanted[open_, 0]]
        hit = at[:, 1] == wanted[open_, 1]
        found[open_[hit]] = position[open_[hit]] + offset
        open_ = open_[~hit]
        position[open_] += 1
    return found


def _paths(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".rows" and not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _open_all(folder: Path, dtype: np.dtype[np.generic]) -> list[Shard]:
    """Every good shard; lists again where one vanished, because then its rows are in a new one."""
    while True:
        paths = _paths(folder)
        shards = []
        vanished = False
        for path in paths:
            try:
                shard = _open(path, dtype)
            except FileNotFoundError:
                vanished = True
                break
            if shard is not None:
                shards.append(shard)
        if not vanished:
            return shards


def _open(path: Path, dtype: np.dtype[np.generic]) -> Shard | None:
    """One shard; ``None`` where it is damaged, cut or of another kind: what it held is then computed again."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < _HEADER.itemsize:
            return None
        header = np.frombuffer(file.read(_HEADER.itemsize), dtype=_HEADER)[0]
        rows = int(header["rows"])
        start = _HEADER.itemsize + 16 * rows
        if header["magic"] != _MAGIC or header["row_bytes"] != dtype.itemsize or size != start + rows * dtype.itemsize:
            return None
        names = file.read(16 * rows)
        if zlib.crc32(names) != header["checksum"]:
            return None
        digests = np.frombuffer(names, dtype="<u8").reshape(-1, 2).astype(np.uint64, copy=False)
        mapped = np.memmap(file, dtype=np.uint8, mode="r", offset=start, shape=(rows * dtype.itemsize,))
    return Shard(path=path, digests=digests, rows=_as_rows(mapped, dtype))


def _as_rows(flat: npt.NDArray[np.uint8], dtype: np.dtype[np.generic]) -> npt.NDArray[np.generic]:
    if dtype.subdtype is None:
        return flat.view(dtype)
    base, shape = dtype.subdtype
    return flat.view(base).reshape(-1, *shape)


def _write(
    path: Path, digests: Digests, dtype: np.dtype[np.generic], blocks: Iterable[npt.NDArray[np.generic]]
) -> None:
    names = np.ascontiguousarray(digests, dtype="<u8").tobytes()
    header = np.array([(_MAGIC, len(digests), dtype.itemsize, zlib.crc32(names))], dtype=_HEADER)
    with cache.replacing(path) as part, part.open("wb") as file:
        file.write(header.tobytes())
        file.write(names)
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=dtype.base).tobytes())


def _gather(
    shards: Sequence[Shard], order: npt.NDArray[np.int64], dtype: np.dtype[np.generic]
) -> Iterator[npt.NDArray[np.generic]]:
    """Rows of several shards, numbered through, in this order, some at a time."""
    for begin in range(0, len(order), _AT_ONCE):
        numbers = order[begin : begin + _AT_ONCE]
        block = np.empty(len(numbers), dtype=dtype)
        _take(shards, numbers, block)
        yield block


def _take(shards: Sequence[Shard], numbers: npt.NDArray[np.int64], out: npt.NDArray[np.generic]) -> None:
    starts = np.cumsum([0, *(len(shard.digests) for shard in shards)])
    owner = np.searchsorted(starts, numbers, side="right") - 1
    for index in np.unique(owner):
        mine = np.flatnonzero(owner == index)
        out[mine] = shards[index].rows[numbers[mine] - starts[index]]


@contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Whether this process alone holds the lock, which goes with the process however that ends."""
    try:
        import fcntl  # absent on Windows, where shards are then never merged
    except ImportError:
        yield False
        return
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def _size(folder: Path) -> int:
    total = 0
    for path in folder.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def _used(folder: Path) -> float:
    mark = folder / "used"
    try:
        return (mark if mark.exists() else folder).stat().st_mtime
    except FileNotFoundError:
        return 0.0
