"""Up the ladder: every rung that the person handed over, the cheapest first."""

from __future__ import annotations

import time

from diagnose.context import Context
from diagnose.ladder.algorithm import algorithm_rung
from diagnose.ladder.log import log_rung
from diagnose.logs.reading import read_log
from diagnose.submission import Submission
from diagnose.verdict import Results


def check(submission: Submission) -> None:
    """Read what can be read at once, so that a mistake in a file is told before the pass, not after it.

    Raises:
        ZooError: Something handed over cannot be used.
    """
    if submission.log is not None:
        read_log(submission.log)


def climb(
    submission: Submission, context: Context, results: Results, *, budget: float | None = None, confirm: bool = False
) -> Results:
    """The results with every rung that there is.

    Args:
        submission: What the person handed over.
        context: Their data.
        results: What is known so far.
        budget: Seconds for all rungs; each has a default of its own where ``None``.
        confirm: Whether the edit that mends the algorithm is tried.

    Raises:
        ZooError: Something handed over cannot be used.
    """
    begun = time.perf_counter()

    def left() -> float | None:
        return None if budget is None else max(0.0, budget - (time.perf_counter() - begun))

    if submission.log is not None:
        results = log_rung(context, submission.log, results).added_to(results)
    if submission.algorithm is not None:
        results = algorithm_rung(context, submission.algorithm, budget=left()).added_to(results)
    return results
