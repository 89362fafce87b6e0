"""Rung 6: the person's algorithm, run on a part of their data and on known-good data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from diagnose.algorithm import ExamineOptions, examine
from diagnose.algorithm_context import REFERENCE, AlgorithmContext
from diagnose.algorithm_data import pictures_of
from diagnose.budget import Budget
from diagnose.confirming import run_accuracy
from diagnose.context import Context
from diagnose.findings import NotTested, Outcome, Part
from diagnose.probed import probed
from diagnose.rungs import Rung
from diagnose.sandbox.measurements import Variant


def algorithm_rung(context: Context, path: Path, *, budget: float | None, confirm: bool = False) -> Rung:
    """Examine the person's algorithm on a part of their data.

    Args:
        context: The data.
        path: Their Python file.
        budget: Seconds it may take; the default of ``ExamineOptions`` where ``None``.
        confirm: Whether the edit that mends the file is run as well.

    Raises:
        OptionError: There is no such file.
        DataError: The data has no held-out pictures of two classes.
    """
    options = ExamineOptions(seed=context.seed, progress=context.progress, confirm=confirm)
    time_left = Budget(options.budget if budget is None else budget)
    pictures = pictures_of(context.dataset, train=options.train, validation=options.validation, seed=context.seed)
    found = examine(path, pictures, replace(options, budget=time_left.left), probed(context, pictures))
    own_code = next((control.accuracy for control in found.controls if control.name == "own-code"), None)
    rung = Rung(
        findings=found.findings,
        controls=found.controls,
        failures=found.failures,
        not_tested=found.not_tested,
        own_code=own_code,
        own_line=found.own_line,
        edit=found.edit,
    )
    return _compared(rung, found.context)


def _compared(rung: Rung, measured: AlgorithmContext) -> Rung:
    """The rung with their accuracy and its distance from what was shown possible on the same pictures."""
    theirs, best = measured.theirs, measured.runs_of(measured.shown)
    if theirs is None or not best:
        return replace(rung, uncompared="your algorithm was not trained; it takes a larger --budget.")
    gap = measured.difference(Variant(), measured.shown)
    if gap is None:  # cut short, and still under: how far it would have come nobody knows
        return _open(rung, f"your training was stopped in epoch {len(theirs.curve)}")
    if measured.hungry and not any(f.outcome is Outcome.FAIL for f in rung.findings):
        worth = "the rest may be all that it lacks: a known-good model wins as much by them"
        if measured.closing:
            worth = "going on as it does with more of them, it may come as far as a known-good model"
        return _open(rung, f"yours learnt from {theirs.images} pictures, and {worth}")
    possible = run_accuracy(best[0])
    by = "a known-good model" if measured.shown == REFERENCE else "your algorithm with its causes mended"
    part = Part(learnt=theirs.images, judged=theirs.validation, possible=possible, by=by)
    return replace(rung, yours=run_accuracy(theirs), known_good=possible, gap=gap, part=part)


def _open(rung: Rung, why: str) -> Rung:
    """The rung where more time would tell what theirs reaches."""
    needs = f"a larger --budget: {why}"
    open_ = NotTested(name="accuracy", needs=needs)
    return replace(rung, not_tested=(*rung.not_tested, open_), uncompared=f"it takes {needs}.")
