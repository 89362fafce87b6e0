"""The edit of a person's file that takes the causes away, and the training that shows what it wins."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from diagnose.algorithm_context import AlgorithmContext, combine
from diagnose.comparison import accuracy
from diagnose.findings import CheckFailure, Edit, Estimate, Finding, Outcome
from diagnose.mending import Input, mended, unified_diff
from diagnose.probes.frozen import is_pretrained
from diagnose.sandbox.copies import copy_code
from diagnose.sandbox.measurements import Mishap, RunFacts, Variant
from diagnose.sandbox.session import Request, Sandbox

_FEWEST_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """An edit, and the whole file with it."""

    edit: Edit
    text: str


def propose(
    algorithm: Path, findings: Sequence[Finding], context: AlgorithmContext, sure: Mapping[str, Variant]
) -> Proposal | None:
    """The edit that takes away what was found; ``None`` where nothing failed, or no edit of the file mends it.

    Args:
        algorithm: The person's file.
        findings: What was found.
        context: The measurements; what it has mended so far is what is written into the file.
        sure: By cause, what would take away a fault that was seen for sure, tried or not.
    """
    failed = {f.cause for f in findings if f.outcome is Outcome.FAIL}
    if not failed or "crash" in failed:
        return None
    change = context.base
    for cause in sorted(failed & sure.keys()):
        change = combine(change, sure[cause])
    if context.model is not None and is_pretrained(context.model):
        change = replace(change, unfreeze=False)  # the edit would train the pretrained layers too
    seen = failed | {f.cause for f in findings if f.outcome is Outcome.REVIEW}
    try:
        before = algorithm.read_text(encoding="utf-8")
        after = mended(before, change, seen, _fed(context))
    except (OSError, ValueError, SyntaxError):  # not UTF-8, or it was changed meanwhile
        return None
    if after == before:
        return None
    diff = unified_diff(before, after, algorithm.name)
    theirs = context.theirs
    reached = None if theirs is None else run_accuracy(theirs)
    return Proposal(edit=Edit(file=algorithm.name, diff=diff, before=reached), text=after)


def _fed(context: AlgorithmContext) -> Input | None:
    """The size that their evaluation transform gives, and what the weights expect of the pixels."""
    transform, model = context.transform, context.model
    if transform is None or model is None or len(transform.eval_shape) != 3 or transform.eval_shape[0] != 3:
        return None
    _, height, width = transform.eval_shape
    mean, std = model.expected_mean or (0.5,) * 3, model.expected_std or (0.5,) * 3
    return Input(height=height, width=width, mean=mean, std=std)


@contextmanager
def patched(algorithm: Path, text: str) -> Iterator[Path]:
    """A copy of the file's folder in which the file has this text."""
    with tempfile.TemporaryDirectory(prefix="zoovet-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / "algorithm"
        copy_code(algorithm.parent, copy)
        file = copy / algorithm.name
        file.write_text(text, encoding="utf-8")
        yield file


def confirm(
    sandbox: Sandbox, edit: Edit, context: AlgorithmContext, request: Request
) -> tuple[Edit, tuple[CheckFailure, ...]]:
    """Train the edited file with the seeds of the unedited one; the edit with what that won, and what failed."""
    theirs = context.runs_of(Variant())
    runs: list[RunFacts] = []
    for seed in sorted({run.seed for run in theirs}) or [0]:
        answer = sandbox.ask(replace(request, seed=request.seed + seed), RunFacts)
        if isinstance(answer, Mishap) or not answer.finished:
            error = answer.error if isinstance(answer, Mishap) else "the time was over before the last epoch"
            return edit, (CheckFailure(check="confirm", error=error),)
        runs.append(replace(answer, seed=seed))
    return replace(edit, after=run_accuracy(runs[0]), gain=context.compare(theirs, tuple(runs))), ()


def seconds_allowed(context: AlgorithmContext) -> float:
    """For the edited file's training: three times the longest so far."""
    return max([_FEWEST_SECONDS, *(3 * run.seconds for run in context.runs)])


def run_accuracy(run: RunFacts) -> Estimate:
    """Validation accuracy with its interval."""
    return accuracy(np.asarray(run.predictions) == np.asarray(run.labels))
