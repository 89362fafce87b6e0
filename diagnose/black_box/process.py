"""A command in a process of its own, in a copy of the current folder, fenced in, with limits of time and memory."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from diagnose.sandbox import fence
from zoo.errors import OptionError

Ending = Literal["finished", "failed", "late"]
_LINE = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
_SHOWN = 20
_MEMORY = 0.8  # share of the machine's
_LAST_WORDS = 2.0  # seconds for a traceback, before what is late is ended


@dataclass(frozen=True, kw_only=True)
class Done:
    """What became of a command.

    Attributes:
        ending: It finished, it failed, or its time was over and it was ended.
        status: Exit status; negative where a signal ended it.
        output: All that it printed, both streams.
        error: For a failure the last line that it printed, and where it happened; where it was, for what was late.
        seconds: How long it ran.
    """

    ending: Ending
    status: int
    output: str
    error: str
    seconds: float


def arguments(command: str, *, data: Path, out: Path) -> list[str]:
    """The command's words, ``{data}`` and ``{out}`` filled in. No shell is involved.

    Raises:
        OptionError: Its quotes do not match, or it is empty.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise OptionError(f"--command cannot be read: {error}.", remedy="Check its quotes.") from error
    if not words:
        raise OptionError("--command is empty.", remedy='Write --command "python train.py --data {data} --out {out}"')
    return [word.replace("{data}", str(data)).replace("{out}", str(out)) for word in words]


def run(words: list[str], *, folder: Path, scratch: Path, seconds: float) -> Done:
    """Run a command to its end, or for so long.

    Args:
        words: Program and arguments.
        folder: Its current folder.
        scratch: For its temporary files and what it prints.
        seconds: After which it is ended, and all that it started.

    Raises:
        OptionError: There is no such program, or this system cannot end what it starts.
    """
    if os.name != "posix":
        raise OptionError("--command needs Linux or macOS.", remedy="Use --log, --checkpoint or --predictions.")
    temporary = scratch / "tmp"
    temporary.mkdir(exist_ok=True)
    printed = scratch / "output.txt"
    environment = {
        **os.environ,
        "TMPDIR": str(temporary),
        "MPLBACKEND": "Agg",
        "WANDB_MODE": "disabled",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
    }
    begun = time.monotonic()
    with printed.open("wb") as stream:
        process = subprocess.Popen(
            _fenced(words, folder, scratch),
            stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, cwd=folder, env=environment,
            start_new_session=True,
        )  # fmt: skip
        late = False
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            late = True
            _ask_where(process)
        finally:
            _end(process)
    output = printed.read_bytes().decode("utf-8", errors="replace")
    ending: Ending = "late" if late else "finished" if process.returncode == 0 else "failed"
    return Done(
        ending=ending,
        status=process.returncode,
        output=output,
        error=_where(output, folder)
        if late
        else _error(output, folder, process.returncode)
        if ending == "failed"
        else "",
        seconds=time.monotonic() - begun,
    )


def _fenced(words: list[str], folder: Path, scratch: Path) -> list[str]:
    """The command behind the system's fences."""
    found = shutil.which(words[0] if os.sep not in words[0] else str(folder / words[0]))
    if found is None:
        raise OptionError(
            f"--command cannot be started: there is no program {words[0]!r}.", remedy="Name a program on the PATH."
        )
    fences = [sys.executable, "-I", str(Path(fence.__file__).resolve()), *map(str, fence.places(scratch))]
    if not Path("/dev/nvidiactl").exists():  # the driver reserves far more than it uses
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        fences.append(f"--memory={int(_MEMORY * memory / 2**20)}")
    return [*fences, "--", found, *words[1:]]


def _ask_where(process: subprocess.Popen[bytes]) -> None:
    """Python's fault handler prints where a program is when it is told to abort."""
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        os.kill(process.pid, signal.SIGABRT)
        process.wait(_LAST_WORDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command and whatever it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _error(output: str, folder: Path, status: int) -> str:
    """The exception's line and the innermost line of a person's own file, as a traceback ends with them."""
    lines = [line for line in output.splitlines() if line.strip()][-_SHOWN:]
    last = lines[-1].strip() if lines else f"nothing was printed, exit status {status}"
    if status == -signal.SIGKILL:
        last = "it was killed, most likely because the memory was full"
    own = _own(output, folder)
    return f"{last} ({own[-1]})" if own else last


def _where(output: str, folder: Path) -> str:
    """The innermost line of a person's own file in the fault handler's dump, which lists the innermost first."""
    own = _own(output[output.rfind("Fatal Python error: Aborted") :], folder) if "Fatal Python error" in output else []
    return own[0] if own else ""


def _own(output: str, folder: Path) -> list[str]:
    """Lines of the person's own files that a traceback names: ``train.py:24``."""
    found = ((folder / match["file"], match["line"]) for match in _LINE.finditer(output))
    return [f"{file.relative_to(folder)}:{line}" for file, line in found if file.is_relative_to(folder)]
