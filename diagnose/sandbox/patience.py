"""Whether a process that has not answered hangs, or has only had too little of a busy machine."""

from __future__ import annotations

import os
from pathlib import Path


def starved(process: int, *, before: float, seconds: float) -> bool:
    """Whether a process wants to go on computing, and has had less processor time than it was given by the clock.

    Where the system does not tell (it is not Linux) the clock alone counts.

    Args:
        process: Its number.
        before: Its :func:`processor_seconds` when the time began.
        seconds: What it was given.
    """
    return processor_seconds(process) - before < 0.5 * seconds and wants_to_run(process)


def processor_seconds(process: int) -> float:
    """Processor time that a process has used so far, all its threads together; infinite where nobody knows."""
    fields = _fields(Path(f"/proc/{process}/stat"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else float("inf")


def wants_to_run(process: int) -> bool:
    """Whether any of its threads is running, queues for a processor, or waits for the disk."""
    threads = Path(f"/proc/{process}/task")
    try:
        return any(_fields(thread / "stat")[:1] in (["R"], ["D"]) for thread in threads.iterdir())
    except OSError:
        return False


def _fields(stat: Path) -> list[str]:
    """What follows the program's name, which may hold anything: state first (proc_pid_stat(5))."""
    try:
        return stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
