"""A disk that fills up, or a machine that dies, at a chosen moment of writing."""

from __future__ import annotations

import errno
import os
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Point:
    """One kind of call for one file.

    Attributes:
        call: ``mkdir``, ``create``, ``write``, ``fsync`` or ``rename``.
        name: The file's own name, without what makes a temporary name unique.
    """

    call: str
    name: str


def full(point: Point) -> None:
    """The call fails as on a full disk. A write fails in the kernel, in whatever language it is made."""
    if point.call == "write":
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    else:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), point.name)


@contextmanager
def watched(notice: Callable[[Point], None]) -> Iterator[None]:
    """Tells of every call that changes what is on the disk, before it is made."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    names: dict[int, str] = {}
    before = {name: getattr(os, name) for name in ("mkdir", "open", "fsync", "replace", "rename")}

    def opened(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        created = bool(flags & os.O_CREAT) and flags & os.O_EXCL
        if created:
            notice(Point(call="create", name=_plain(path)))
        descriptor: int = before["open"](path, flags, *rest, **options)
        names[descriptor] = _plain(path)
        if created:
            notice(Point(call="write", name=_plain(path)))
        return descriptor

    def synced(descriptor: int) -> None:
        notice(Point(call="fsync", name=names.get(descriptor, "?")))
        before["fsync"](descriptor)

    def calling(call: str, name: str) -> Callable[..., Any]:
        def made(path: Any, *rest: Any, **options: Any) -> Any:
            notice(Point(call=call, name=_plain(path)))
            return before[name](path, *rest, **options)

        return made

    os.open, os.fsync = opened, synced  # type: ignore[assignment]
    os.mkdir = calling("mkdir", "mkdir")
    os.replace, os.rename = calling("rename", "replace"), calling("rename", "rename")
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(os, name, function)
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


def _plain(path: str | bytes | os.PathLike[str]) -> str:
    name = Path(os.fsdecode(path)).name
    name = re.sub(r"^\.(.+)\.[0-9a-f]{8}\.tmp$", r"\1", name)  # zoo.files.replacing
    name = re.sub(r"^[0-9a-f]{32}\.rows$", "*.rows", name)  # zoo.store
    name = re.sub(r"^\.new-run-.+$", ".new-run", name)  # zoo.claim
    return re.sub(r"^candidate-\d+", "candidate", name)
