"""Up the ladder: every rung that the person handed over, the cheapest first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from diagnose.context import Context
from diagnose.ladder.algorithm import algorithm_rung
from diagnose.rungs import Rung
from diagnose.submission import Submission
from diagnose.verdict import Results


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
    if submission.algorithm is not None:
        left = None if budget is None else max(0.0, budget - (time.perf_counter() - begun))
        results = algorithm_rung(context, submission.algorithm, budget=left).added_to(results)
    return results
