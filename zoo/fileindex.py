"""What is known of files without reading them: their digests, and why some are no usable picture.

One SQLite file in the cache, safe under several processes and ``kill -9``. It is a convenience: where it cannot be
used, files are read again.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

#: A file changed less than this long before it was read may change again within the clock's resolution (as in git's
#: index); it is read again next time. Nanoseconds.
_RACY = 2_000_000_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, size INT, mtime INT, ctime INT, inode INT, digest BLOB);
CREATE TABLE IF NOT EXISTS faults (digest BLOB PRIMARY KEY, reason TEXT);
"""
_AT_ONCE = 500

Stamp = tuple[int, int, int, int]


def stamp(path: Path) -> Stamp | None:
    """Size, modification time, change time and inode of a file; ``None`` where it is gone or no plain file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


class FileIndex:
    """The index.

    Args:
        path: The SQLite file; made where it is missing, made anew where it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._connection() as connection:
                connection.executescript(_SCHEMA)
        except sqlite3.DatabaseError:
            path.unlink(missing_ok=True)
            with self._connection() as connection:
                connection.executescript(_SCHEMA)

    def digests(self, paths: Sequence[Path]) -> list[bytes | None]:
        """The digest of each file that has not changed since it was read; ``None`` for the others."""
        found: list[bytes | None] = []
        with self._connection() as connection:
            for start in range(0, len(paths), _AT_ONCE):
                names = [os.fsencode(path) for path in paths[start : start + _AT_ONCE]]
                marks = ",".join("?" * len(names))
                rows = connection.execute(
                    f"SELECT path, size, mtime, ctime, inode, digest FROM files WHERE path IN ({marks})",  # noqa: S608
                    names,
                )
                known = {row[0]: (tuple(row[1:5]), row[5]) for row in rows}
                for name, path in zip(names, paths[start : start + _AT_ONCE], strict=True):
                    at, content = known.get(name, (None, None))
                    found.append(content if at is not None and at == stamp(path) else None)
        return found

    def remember(self, read: Iterable[tuple[Path, Stamp, bytes]]) -> None:
        """Note what was read: path, stamp before reading, digest."""
        now = time.time_ns()
        settled = [(os.fsencode(p), *at, content) for p, at, content in read if now - max(at[1], at[2]) > _RACY]
        with self._connection() as connection:
            connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", settled)

    def faults(self, contents: Iterable[bytes]) -> dict[bytes, str]:
        """Why these contents are no usable pictures; those that are not known to be unusable are absent."""
        found: dict[bytes, str] = {}
        with self._connection() as connection:
            for content in contents:
                row = connection.execute("SELECT reason FROM faults WHERE digest = ?", (content,)).fetchone()
                if row:
                    found[content] = row[0]
        return found

    def remember_faults(self, faults: Iterable[tuple[bytes, str]]) -> None:
        """Note why contents are no usable pictures."""
        with self._connection() as connection:
            connection.executemany("INSERT OR REPLACE INTO faults VALUES (?, ?)", faults)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=60)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            with connection:
                yield connection
        finally:
            connection.close()
