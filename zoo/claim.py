"""The name of a run's folder: asked for, or the next free number. No two runs ever get the same one.

A run is drafted under a hidden name and renamed when it is complete. A rename onto a folder that is not empty fails, so
of several processes that want one name, one gets it.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import OptionError, StorageError
from zoo.files import storage_error

_DRAFT = ".new-run-"
_STALE = 3600.0  # seconds after which a draft was left by a process that died
_REMEDY = "Make room, or name a folder on another disk: --out FOLDER"


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A folder that nobody else knows of.

    Attributes:
        path: Where it is, until it is claimed.
        out: What it is to be called; ``None`` for the next number under ``runs/``.
    """

    path: Path
    out: Path | None

    def claim(self, *titles: str) -> Path:
        """Give the folder its name.

        Args:
            titles: Model and data, from which a numbered name is made.

        Returns:
            Where it is now.

        Raises:
            OptionError: ``out`` is a file, or a folder that is not empty.
            StorageError: The disk refuses.
        """
        if self.out is None:
            return _next(self.path, "-".join(map(_slug, titles)))
        target = self.out.absolute()
        if target.exists() and not target.is_dir():
            raise OptionError(f"{self.out} is a file.", remedy="Choose another --out.")
        if not _rename(self.path, target):
            raise OptionError(f"The folder {self.out} is not empty.", remedy="Choose another --out, or leave it away.")
        return target.resolve()


@contextmanager
def draft(out: Path | None) -> Iterator[Draft]:
    """A new folder beside where the run will be. What has not been claimed at the end is removed.

    Raises:
        StorageError: It cannot be made or written.
    """
    parent = out.absolute().parent if out else Path("runs").absolute()
    path = None
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _sweep(parent)
        path = Path(tempfile.mkdtemp(dir=parent, prefix=_DRAFT))
        path.chmod(0o755)
        yield Draft(path=path, out=out)
    except OSError as error:
        raise storage_error(error, path or parent, remedy=_REMEDY) from error
    except StorageError as error:
        raise StorageError(error.what, remedy=_REMEDY) from error
    finally:
        if path is not None:
            shutil.rmtree(path, ignore_errors=True)


def discard(path: Path) -> None:
    """Remove the folder of a run, and let ``latest`` beside it point to the newest of those that are left."""
    latest = path.parent / "latest"
    was_latest = latest.is_symlink() and latest.resolve() == path.resolve()
    shutil.rmtree(path, ignore_errors=True)
    if not was_latest:
        return
    left = [config.parent for config in path.parent.glob("*/config.yaml") if config.parent != latest]
    if left:
        _point_latest(path.parent, max(left, key=lambda folder: folder.stat().st_mtime))
    else:
        latest.unlink(missing_ok=True)
        with suppress(OSError):  # something else lies there
            path.parent.rmdir()


def _next(path: Path, stem: str) -> Path:
    parent = path.parent
    taken = [int(m[1]) for p in parent.iterdir() if (m := re.fullmatch(rf"{re.escape(stem)}-(\d+)", p.name))]
    number = max(taken, default=0) + 1
    while (target := parent / f"{stem}-{number:03d}").exists() or not _rename(path, target):
        number += 1
    _point_latest(parent, target)
    return target.resolve()


def _rename(path: Path, target: Path) -> bool:
    try:
        path.rename(target)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            return False
        raise
    return True


def _point_latest(parent: Path, path: Path) -> None:
    """Let ``runs/latest`` point to ``path``; a file system without links goes without."""
    link = parent / f".latest-{os.getpid()}"
    try:
        link.symlink_to(path.name, target_is_directory=True)
        link.replace(parent / "latest")
    except OSError:
        with suppress(OSError):
            link.unlink()


def _slug(name: str) -> str:
    """A name as part of a folder's name: letters, digits, dots and underscores."""
    short = name.rsplit("/", 1)[-1].split(".", maxsplit=1)[0]
    return re.sub(r"[^A-Za-z0-9_]+", "_", short).strip("_")[:40] or "data"


def _sweep(parent: Path) -> None:
    """Remove drafts whose process was killed before it could name them."""
    for path in parent.glob(f"{_DRAFT}*"):
        with suppress(OSError):  # another process may be at it too
            if time.time() - path.stat().st_mtime > _STALE:
                shutil.rmtree(path, ignore_errors=True)
