"""Up the ladder: every rung that the person handed over.

What measures their accuracy picture by picture comes before what merely states it. A rung is imported when it is
climbed: it brings torch, and a mistake in the arguments is to be told before that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diagnose.budget import Budget
from diagnose.context import Context
from diagnose.ladder.shortcuts import shortcut_rung
from diagnose.submission import Submission
from diagnose.verdict import Results
from zoo.neighbours import IntArray

if TYPE_CHECKING:
    from diagnose.curves import Curves
    from diagnose.loading import Loaded
    from diagnose.rungs import Rung


@dataclass(frozen=True, kw_only=True)
class Read:
    """What was read of the files handed over; ``None`` where there is none of the kind.

    Attributes:
        curves: Of the training's log.
        loaded: The checkpoint's weights in their architecture.
        shortcuts: What ``shortcuts.json`` says.
    """

    curves: Curves | None = None
    loaded: Loaded | None = None
    shortcuts: Rung | None = None


def read_ahead(submission: Submission, *, offline: bool = False) -> Read:
    """Read what can be read at once, so that a mistake in a file is told before the pass, not after it.

    Raises:
        ZooError: Something handed over cannot be used.
    """
    curves = loaded = None
    if submission.log is not None:
        from diagnose.logs.reading import read_log

        curves = read_log(submission.log)
    shortcuts = None if submission.shortcuts is None else shortcut_rung(submission.shortcuts)
    if submission.checkpoint is not None:
        from diagnose.loading import load

        loaded = load(submission.checkpoint, offline=offline)
    return Read(curves=curves, loaded=loaded, shortcuts=shortcuts)


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


def climb(
    submission: Submission,
    read: Read,
    context: Context,
    results: Results,
    terms: Terms,
    *,
    known_good: IntArray | None = None,
) -> Results:
    """The results with every rung that there is.

    Args:
        submission: What the person handed over.
        read: What was read of it.
        context: Their data.
        results: What is known so far.
        terms: Budget and the like.
        known_good: What a reference stronger than the probe says, ``(n,)``; -1 where it was not asked.

    Raises:
        ZooError: Something handed over cannot be used.
    """
    time_left = Budget(terms.budget)

    def left() -> float | None:
        return None if terms.budget is None else time_left.left

    if submission.checkpoint is not None and read.loaded is not None:
        from diagnose.ladder.checkpoint import checkpoint_rung

        rung = checkpoint_rung(
            context, submission.checkpoint, read.loaded, budget=left(), device=terms.device, known_good=known_good
        )
        results = rung.added_to(results)
    if read.curves is not None:
        from diagnose.ladder.log import log_rung

        results = log_rung(context, read.curves, results).added_to(results)
    if read.shortcuts is not None:
        results = read.shortcuts.added_to(results)
    if submission.command is not None:
        from diagnose.ladder.command import command_rung

        rung = command_rung(context, submission.command, budget=left(), known_good=known_good)
        results = rung.added_to(results)
    if submission.algorithm is not None:
        from diagnose.ladder.algorithm import algorithm_rung

        rung = algorithm_rung(context, submission.algorithm, budget=left(), confirm=terms.confirm)
        results = rung.added_to(results)
    return results
