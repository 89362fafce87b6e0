"""The worker process: ``python -m diagnose.sandbox.worker``. One JSON line in, one out, until the pipe closes."""

from __future__ import annotations

import argparse
import dataclasses
import faulthandler
import json
import linecache
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch

from diagnose.sandbox import fence, guard
from diagnose.sandbox.feed_audit import audit_loader, audit_schedule, audit_transforms
from diagnose.sandbox.loss_audit import audit_loss
from diagnose.sandbox.measurements import Loaded, Mishap, Variant, decode, encode
from diagnose.sandbox.model_audit import audit_model
from diagnose.sandbox.part_names import PARTS
from diagnose.sandbox.parts import choose, defined, load, reference
from diagnose.sandbox.pictures import Pictures, read
from diagnose.sandbox.step_audit import audit_step, overfit
from diagnose.sandbox.training import train
from diagnose.sandbox.workbench import Workbench


def _load(bench: Workbench) -> Loaded:
    """The file was executed when the worker started: say what it defines."""
    parts = choose(bench.theirs, bench.known_good, ())
    return Loaded(
        defined=defined(bench.theirs),
        epochs=parts.epochs,
        batch_size=parts.batch_size,
        scheduler_unit=parts.scheduler_unit,
    )


EXPERIMENTS: dict[str, Callable[[Workbench], Any]] = {
    "load": _load,
    "model": audit_model,
    "loss": audit_loss,
    "step": audit_step,
    "transform": audit_transforms,
    "loader": audit_loader,
    "schedule": audit_schedule,
    "overfit": overfit,
    "train": train,
}


def main() -> None:
    """Read the options, put up the fences, load the algorithm, and answer requests."""
    parser = argparse.ArgumentParser()
    for option in ("algorithm", "reference", "scratch"):
        parser.add_argument(f"--{option}", required=True)
    for option in ("requests", "answers", "memory", "threads"):
        parser.add_argument(f"--{option}", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    scratch = Path(options.scratch)
    _fence(scratch, options.memory)
    with os.fdopen(options.requests) as requests, os.fdopen(options.answers, "w") as answers:
        _Worker(Path(options.algorithm), options.reference, scratch, answers).serve(requests)


def _fence(scratch: Path, megabytes: int) -> None:
    sys.dont_write_bytecode = True
    trace = (scratch / "trace.txt").open("w")
    faulthandler.enable(trace)
    if hasattr(signal, "SIGUSR1"):
        faulthandler.register(signal.SIGUSR1, trace, all_threads=False)  # the parent asks a hanging worker where it is
    guard.confine(scratch)
    guard.catch_exit()
    if not torch.cuda.is_available():  # the driver reserves far more than it uses
        fence.limit_memory(megabytes)


class _Worker:
    def __init__(self, algorithm: Path, known_good: str, scratch: Path, answers: IO[str]) -> None:
        self._algorithm, self._scratch, self._answers = algorithm, scratch, answers
        self._known_good = known_good
        self._pictures: dict[str, Pictures] = {}

    def serve(self, requests: IO[str]) -> None:
        for line in requests:
            request = json.loads(line)
            answer = self._attempt(request)
            self._answers.write(json.dumps(answer) + "\n")
            self._answers.flush()

    def _attempt(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run one experiment; whatever their code raises becomes a mishap with the line that raised it."""
        try:
            return {"measured": encode(EXPERIMENTS[request["experiment"]](self._bench(request)))}
        except BaseException as error:  # noqa: BLE001 - this is the one place that isolates the person's code
            return {"mishap": encode(self._mishap(request["experiment"], error))}

    def _bench(self, request: dict[str, Any]) -> Workbench:
        # Anew each time, as they run it: what one experiment left in the file's own variables is not another's.
        theirs = load(self._algorithm)
        random.seed(0)
        data = request["data"]
        if data not in self._pictures:
            self._pictures[data] = read(self._scratch / data)
        bench = Workbench(
            theirs=theirs,
            known_good=reference(self._known_good),
            pictures=self._pictures[data].subset(request["train"], request["validation"], request["seed"]),
            data=data,
            seed=request["seed"],
            deadline=time.monotonic() + request["seconds"],
            variant=decode(Variant, request["variant"]),
        )
        # "All parts from the known-good recipe" is the recipe itself, its own constants included.
        if set(bench.variant.reference) >= set(PARTS):
            return dataclasses.replace(bench, theirs=bench.known_good, variant=Variant())
        return bench

    def _mishap(self, experiment: str, error: BaseException) -> Mishap:
        line, source, file = locate(error, self._algorithm.parent)
        message = f"{type(error).__name__}: {error}".strip().splitlines()[0][:500]
        memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        kind: Any = "memory" if memory else "exit" if isinstance(error, SystemExit) else "crash"
        return Mishap(experiment=experiment, kind=kind, error=message, line=line, source=source, file=file)


def locate(error: BaseException, folder: Path) -> tuple[int | None, str, str]:
    """The innermost line of the person's own files in a traceback: number, text, file name."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_relative_to(folder):
        return error.lineno, (error.text or "").strip(), str(Path(error.filename).relative_to(folder))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(folder):
            text = frame.line or linecache.getline(frame.filename, frame.lineno or 0)
            return frame.lineno, text.strip(), str(path.relative_to(folder))
    return None, "", ""


if __name__ == "__main__":
    main()
