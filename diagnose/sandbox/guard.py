"""The worker's fences: writes stay in the scratch folder, memory is limited, ``os._exit`` is an exception.

These catch accidents, not attacks: a person runs their own code here. What another program does that their code
starts is not seen.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

# Audit events that change the disk, and which of their arguments are paths.
_CHANGES = {
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.rmdir": (0,),
    "os.mkdir": (0,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.link": (1,),
    "os.symlink": (1,),
    "shutil.rmtree": (0,),
    "shutil.move": (0, 1),
}
_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class OutsideError(PermissionError):
    """The person's code tried to change a file outside the scratch folder."""


def confine(scratch: Path) -> None:
    """From now on this process may change files only under ``scratch`` and in the caches of hubs."""
    allowed = [scratch, *_caches(), Path("/dev")]
    roots = tuple(os.path.realpath(folder) for folder in allowed)
    inside = os.path.join

    def refuse(path: Any) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a file descriptor: whatever opened it was checked
        real = os.path.realpath(os.fsdecode(path))
        if not any(real == root or real.startswith(inside(root, "")) for root in roots):
            raise OutsideError(f"the algorithm tried to change {real}, outside its scratch folder")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            if arguments[2] is not None and arguments[2] & _WRITE:
                refuse(arguments[0])
        elif event in _CHANGES:
            for position in _CHANGES[event]:
                refuse(arguments[position])

    sys.addaudithook(hook)


def _caches() -> Sequence[Path]:
    """Where torch, timm and the hub keep downloads: their writes are not the person's."""
    home = Path.home() / ".cache"
    names = ("XDG_CACHE_HOME", "HF_HOME", "TORCH_HOME", "MPLCONFIGDIR")
    return [home, *(Path(os.environ[n]) for n in names if n in os.environ)]


def limit_memory(megabytes: int) -> None:
    """Make allocations beyond ``megabytes`` fail with an exception. Does nothing where the system has no such limit."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = megabytes * 2**20
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    # RLIMIT_DATA counts private memory that may be written; RLIMIT_AS would also count the libraries' reservations.
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def catch_exit() -> None:
    """``os._exit`` and ``os.abort`` raise ``SystemExit``, so that the line that called them can be told."""
    worker, original = os.getpid(), os._exit

    def leave(status: int = 1) -> NoReturn:
        if os.getpid() != worker:
            original(status)  # a forked loader worker ends as it should
        raise SystemExit(status)

    os._exit = leave
    os.abort = leave
