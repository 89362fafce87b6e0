"""Rung 6: the person's algorithm, run on a part of their data and on known-good data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from diagnose.algorithm import ExamineOptions, examine
from diagnose.algorithm_data import pictures_of
from diagnose.context import Context
from diagnose.rungs import Rung


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
    if budget is not None:
        options = replace(options, budget=budget)
    pictures = pictures_of(context.dataset, train=options.train, validation=options.validation, seed=context.seed)
    found = examine(path, pictures, options)
    reached = {control.name: control.accuracy for control in found.controls}
    theirs, known_good = reached.get("theirs"), reached.get("known-good")
    return Rung(
        findings=found.findings,
        controls=found.controls,
        failures=found.failures,
        not_tested=found.not_tested,
        # Without the known-good recipe on the same pictures their accuracy compares with nothing.
        yours=theirs if known_good is not None else None,
        known_good=known_good,
        own_code=reached.get("own-code"),
        own_line=found.own_line,
        edit=found.edit,
    )
