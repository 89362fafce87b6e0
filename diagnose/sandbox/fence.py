"""Fences that the system holds: files may be changed only in some folders, and only so much memory be allocated.

``python -I fence.py [--memory=MEGABYTES] FOLDER ... -- PROGRAM ARGUMENT ...`` puts them up and becomes the program. The fence
around files is Landlock (Linux 5.13 or newer, https://docs.kernel.org/userspace-api/landlock.html): the kernel refuses this
process, and all that it starts, whatever they are written in. Needs the standard library alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls; the same numbers on every architecture
_NO_NEW_PRIVILEGES = 38  # prctl's
_BENEATH = 1  # a rule for a folder and all in it
_WRITE_FILE, _REFER, _TRUNCATE = 1 << 1, 1 << 13, 1 << 14
_REMOVE_OR_MAKE = sum(1 << bit for bit in range(4, 13))


class _Ruleset(ctypes.Structure):
    _fields_ = (("handled_access_fs", ctypes.c_uint64),)


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def confine_files(folders: Iterable[Path]) -> bool:
    """From now on this thread, and whatever it starts, changes files under these folders only; false where it cannot be had."""
    if not sys.platform.startswith("linux"):
        return False
    system = ctypes.CDLL(None, use_errno=True)
    version = system.syscall(_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    rights = _WRITE_FILE | _REMOVE_OR_MAKE | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    rules = system.syscall(_CREATE, ctypes.byref(_Ruleset(rights)), ctypes.c_size_t(8), 0)
    if rules < 0:
        return False
    try:
        for folder in folders:
            _allow(system, rules, folder, rights)
        if system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
            return False
        return bool(system.syscall(_RESTRICT, rules, 0) == 0)
    finally:
        os.close(rules)


def _allow(system: ctypes.CDLL, rules: int, folder: Path, rights: int) -> None:
    try:
        opened = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return  # what is not there cannot be changed
    try:
        system.syscall(_ADD, rules, _BENEATH, ctypes.byref(_Beneath(rights, opened)), 0)
    finally:
        os.close(opened)


def places(scratch: Path) -> tuple[Path, ...]:
    """Where code may write: its scratch folder, the devices, and where libraries keep downloads and compiled code."""
    named = ("XDG_CACHE_HOME", "HF_HOME", "TORCH_HOME", "MPLCONFIGDIR", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH")
    hidden = tuple(Path.home() / name for name in (".cache", ".triton", ".nv"))
    return (
        scratch,
        Path("/dev"),
        Path("/proc"),
        *hidden,
        *(Path(os.environ[name]) for name in named if name in os.environ),
    )


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
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _main() -> None:
    divide = sys.argv.index("--")
    words = sys.argv[divide + 1 :]
    for word in sys.argv[1:divide]:
        if word.startswith("--memory="):
            limit_memory(int(word.removeprefix("--memory=")))
    confine_files(Path(word) for word in sys.argv[1:divide] if not word.startswith("--"))
    os.execvp(words[0], words)  # noqa: S606 - this is what it is for


if __name__ == "__main__":
    _main()
