"""The parent's side: start a worker, ask for experiments, and cope with whatever becomes of it."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from diagnose.sandbox.copies import copy_code
from diagnose.sandbox.measurements import Mishap, Variant, decode, encode
from diagnose.sandbox.patience import processor_seconds, starved
from diagnose.sandbox.pictures import Pictures, write
from zoo.errors import OptionError

R = TypeVar("R")
_START_SECONDS = 120.0  # importing torch and timm on a busy machine
_MOST_PATIENCE = 4  # times the limit that a worker may take by the clock, where it is kept from computing
_FRAME = re.compile(r'File "(?P<file>.+)", line (?P<line>\d+)')


@dataclass(frozen=True, kw_only=True)
class Request:
    """One experiment.

    Attributes:
        experiment: "load", "model", "loss", "step", "transform", "loader", "schedule", "overfit" or "train".
        seconds: How long it may take; a training stops there by itself, everything else is stopped a while later.
        train: At most so many training pictures; ``validation`` likewise.
    """

    experiment: str
    seconds: float = 60.0
    variant: Variant = field(default_factory=Variant)
    data: str = "theirs"
    seed: int = 0
    train: int = 10**9
    validation: int = 10**9


class Sandbox:
    """A worker and its scratch folder. Use as a context manager.

    The algorithm file is copied with its folder's small files; the worker's current directory, temporary folder and
    pictures lie in the scratch folder; nothing outside it may be changed.

    Args:
        algorithm: The person's file.
        reference: Name of the known-good recipe, a module of ``diagnose.references``.
        memory: Megabytes the worker may allocate.
        threads: Processor threads of the worker's torch.

    Raises:
        OptionError: The file does not exist or is not Python, or this system cannot run a sandbox.
    """

    def __init__(self, algorithm: Path, *, reference: str, memory: int = 8192, threads: int = 1) -> None:
        if not algorithm.is_file() or algorithm.suffix != ".py":
            remedy = "Name a Python file; `zoo diagnose --init train.py` writes one to fill in."
            raise OptionError(f"There is no algorithm file {str(algorithm)!r}.", remedy=remedy)
        if os.name != "posix":
            raise OptionError("--algorithm needs Linux or macOS.", remedy="Use --log, --checkpoint or --predictions.")
        self._folder = tempfile.TemporaryDirectory(prefix="zoovet-", ignore_cleanup_errors=True)
        self.scratch = Path(self._folder.name).resolve()
        self._reference, self._memory, self._threads = reference, memory, threads
        copy_code(algorithm.parent, self.scratch / "algorithm")
        self._copy = Path(shutil.copy2(algorithm, self.scratch / "algorithm"))
        (self.scratch / "work").mkdir()
        (self.scratch / "tmp").mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self._requests = self._answers = -1
        self._pending = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _t: TracebackType | None
    ) -> None:
        self._stop()
        self._folder.cleanup()

    def provide(self, name: str, pictures: Pictures) -> None:
        """Lay pictures out for the experiments under a name ("theirs", "digits")."""
        write(pictures, self.scratch / name)

    def ask(self, request: Request, kind: type[R]) -> R | Mishap:
        """Run one experiment: what was measured, or what went wrong. A worker that is gone is replaced next time."""
        starting = self._process is None
        if starting:
            self._start()
        self._send(request)
        grace = (_START_SECONDS if starting else 0.0) + max(30.0, request.seconds)
        answer = self._receive(request.seconds + grace)
        if answer is None:
            return self._lost(request.experiment)
        if "mishap" in answer:
            mishap = decode(Mishap, {**answer["mishap"], "output": self._output()})
            if mishap.kind in {"memory", "exit"}:
                self._stop()
            return mishap
        return decode(kind, answer["measured"])

    def _start(self) -> None:
        ours, theirs = os.pipe(), os.pipe()
        options = {
            "algorithm": self._copy,
            "reference": self._reference,
            "scratch": self.scratch,
            "requests": ours[0],
            "answers": theirs[1],
            "memory": self._memory,
            "threads": self._threads,
        }
        command = [sys.executable, "-m", "diagnose.sandbox.worker"]
        command += [f"--{name}={value}" for name, value in options.items()]
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
        temporary = str(self.scratch / "tmp")
        with (self.scratch / "output.txt").open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.scratch / "work",
                env={
                    **os.environ,
                    "PYTHONPATH": path,
                    "TMPDIR": temporary,
                    "MPLBACKEND": "Agg",
                    "WANDB_MODE": "disabled",
                },
                pass_fds=(ours[0], theirs[1]),
                start_new_session=True,
            )
        os.close(ours[0])
        os.close(theirs[1])
        self._requests, self._answers = ours[1], theirs[0]

    def _send(self, request: Request) -> None:
        try:
            os.write(self._requests, json.dumps(encode(request)).encode() + b"\n")
        except BrokenPipeError:
            return  # the worker is gone; the reading side says so

    def _receive(self, seconds: float) -> dict[str, Any] | None:
        """The next line of the worker, or ``None`` where it is silent for too long or gone."""
        assert self._process is not None
        before = processor_seconds(self._process.pid)
        begun, deadline = time.monotonic(), time.monotonic() + seconds
        while b"\n" not in self._pending:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            patient = time.monotonic() - begun < _MOST_PATIENCE * seconds
            if not ready and patient and starved(self._process.pid, before=before, seconds=seconds):
                deadline = time.monotonic() + seconds / 4
                continue
            chunk = os.read(self._answers, 65536) if ready else b""
            if not chunk:
                return None
            self._pending += chunk
        line, self._pending = self._pending.split(b"\n", 1)
        return json.loads(line)  # type: ignore[no-any-return]

    def _lost(self, experiment: str) -> Mishap:
        """The worker hangs or has died: learn where, and end it."""
        assert self._process is not None
        hanging = self._process.poll() is None
        if hanging:
            try:
                self._process.wait(0.5)  # the pipe closes a moment before the process ends
                hanging = False
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGUSR1)
                time.sleep(0.5)
        line, source, file = self._trace()
        code, output = self._process.returncode, self._output()
        self._stop()
        if hanging:
            return Mishap(experiment=experiment, kind="hang", error="no answer within the time limit", line=line,
                          source=source, file=file, output=output)  # fmt: skip
        kind: Any = "memory" if code == -signal.SIGKILL else "died"
        error = f"the process ended with status {code}"
        return Mishap(experiment=experiment, kind=kind, error=error, line=line, source=source, file=file, output=output)

    def _trace(self) -> tuple[int | None, str, str]:
        """The innermost line of the person's files in the dump of ``faulthandler``, which lists the innermost first."""
        text = (self.scratch / "trace.txt").read_text(encoding="utf-8", errors="replace")
        folder = self._copy.parent
        for found in _FRAME.finditer(text):
            path = Path(found["file"])
            if path.is_relative_to(folder):
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
                number = int(found["line"])
                source = lines[number - 1].strip() if number <= len(lines) else ""
                return number, source, str(path.relative_to(folder))
        return None, "", ""

    def _output(self) -> str:
        text = (self.scratch / "output.txt").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-20:])

    def _stop(self) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # a session of its own: their loader workers end too
            self._process.wait()
        os.close(self._requests)
        os.close(self._answers)
        self._process, self._pending = None, b""
