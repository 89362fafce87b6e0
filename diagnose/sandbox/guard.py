"""The worker's own fences: writes stay in the scratch folder, ``os._exit`` is an exception.

They know the line that did it. What never passes through Python (a library's own code, another program) the system's fence
refuses, where it has one: see ``fence``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from diagnose.sandbox.fence import confine_files, places

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
    """From now on this process may change files only under ``scratch`` and where libraries keep theirs."""
    roots = tuple(os.path.realpath(folder) for folder in places(scratch))
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
    confine_files(places(scratch))


def catch_exit() -> None:
    """``os._exit`` and ``os.abort`` raise ``SystemExit``, so that the line that called them can be told."""
    worker, original = os.getpid(), os._exit

    def leave(status: int = 1) -> NoReturn:
        if os.getpid() != worker:
            original(status)  # a forked loader worker ends as it should
        raise SystemExit(status)

    os._exit = leave
    os.abort = leave
