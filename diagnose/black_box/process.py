"""A command in a process of its own, in a copy of the current folder, with a time limit."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zoo.errors import OptionError

Ending = Literal["finished", "failed", "late"]
_LINE = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Done:
    """What became of a command.

    Attributes:
        ending: It finished, it failed, or its time was over and it was ended.
        status: Exit status; negative where a signal ended it.
        output: All that it printed, both streams.
        error: The last line that it printed, and where it happened, for a failure.
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
    }
    begun = time.monotonic()
    with printed.open("wb") as stream:
        try:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, cwd=folder, env=environment,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise OptionError(
                f"--command cannot be started: {words[0]!r}: {error.strerror}.", remedy="Name a program on the PATH."
            ) from error
        late = False
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            _end(process)
    output = printed.read_bytes().decode("utf-8", errors="replace")
    ending: Ending = "late" if late else "finished" if process.returncode == 0 else "failed"
    return Done(
        ending=ending,
        status=process.returncode,
        output=output,
        error=_error(output, folder, process.returncode) if ending == "failed" else "",
        seconds=time.monotonic() - begun,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command and whatever it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _error(output: str, folder: Path, status: int) -> str:
    """The exception's line and the innermost line of a person's own file, as a traceback ends with them."""
    lines = [line for line in output.splitlines() if line.strip()][-_SHOWN:]
    last = lines[-1].strip() if lines else f"nothing was printed, exit status {status}"
    own = [found for found in _LINE.finditer(output) if (folder / found["file"]).is_relative_to(folder)]
    if not own:
        return last
    return f"{last} ({(folder / own[-1]['file']).relative_to(folder)}:{own[-1]['line']})"
