"""Up the ladder: every rung that the person handed over.

What measures their accuracy picture by picture comes before what merely states it. A rung is imported when it is
climbed: it brings torch, and a mistake in the arguments is to be told before that.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from diagnose.context import Context
from diagnose.ladder.shortcuts import read_shortcuts, shortcut_rung
from diagnose.submission import Submission
from diagnose.verdict import Results


def read_ahead(submission: Submission, *, offline: bool = False) -> None:
    """Read what can be read at once, so that a mistake in a file is told before the pass, not after it.

    Raises:
        ZooError: Something handed over cannot be used.
    """
    if submission.log is not None:
        from diagnose.logs.reading import read_log

        read_log(submission.log)
    if submission.shortcuts is not None:
        read_shortcuts(submission.shortcuts)
    if submission.checkpoint is not None:
        from diagnose.loading import load

        load(submission.checkpoint, offline=offline)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """On which terms the rungs are climbed.

    Attributes:
        budget: Seconds for all rungs; each has a default of its own where ``None``.
        device: auto, cpu, cuda, ... for a checkpoint.
        offline: Make no network call.
        confirm: Whether the edit that mends an algorithm file is run.
    """

    budget: float | None = None
    device: str = "auto"
    offline: bool = False
    confirm: bool = False


DEFAULT_TERMS = Terms()


def climb(submission: Submission, context: Context, results: Results, terms: Terms) -> Results:
    """The results with every rung that there is.

    Args:
        submission: What the person handed over.
        context: Their data.
        results: What is known so far.
        terms: Budget and the like.

    Raises:
        ZooError: Something handed over cannot be used.
    """
    begun = time.perf_counter()

    def left() -> float | None:
        return None if terms.budget is None else max(0.0, terms.budget - (time.perf_counter() - begun))

    if submission.checkpoint is not None:
        from diagnose.ladder.checkpoint import checkpoint_rung

        rung = checkpoint_rung(
            context, submission.checkpoint, budget=left(), device=terms.device, offline=terms.offline
        )
        results = rung.added_to(results)
    if submission.log is not None:
        from diagnose.ladder.log import log_rung

        results = log_rung(context, submission.log, results).added_to(results)
    if submission.shortcuts is not None:
        results = shortcut_rung(submission.shortcuts).added_to(results)
    if submission.command is not None:
        from diagnose.ladder.command import command_rung

        results = command_rung(context, submission.command, budget=left()).added_to(results)
    if submission.algorithm is not None:
        from diagnose.ladder.algorithm import algorithm_rung

        rung = algorithm_rung(context, submission.algorithm, budget=left(), confirm=terms.confirm)
        results = rung.added_to(results)
    return results
