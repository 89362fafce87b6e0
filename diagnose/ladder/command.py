"""Rung 7: a black box. The command is run on known-good data, on theirs, on a tiny subset and on shuffled labels."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from diagnose.algorithm import OWN_LINE
from diagnose.black_box.layout import Layout, digits_like, lay_out, layout_of, shuffled, subset, tiny
from diagnose.black_box.process import Done, arguments, run
from diagnose.black_box.scores import Score, read_score
from diagnose.budget import Budget
from diagnose.comparison import accuracy, paired_difference, proportion
from diagnose.context import Context
from diagnose.findings import CheckFailure, Control, Estimate, Evidence, Finding, Kind, NotTested, Outcome
from diagnose.rescoring import known_good_says
from diagnose.rungs import Rung, algorithm_finding
from diagnose.sandbox.copies import copy_code
from zoo.data import Dataset
from zoo.neighbours import IntArray

_SECONDS = 900.0  # where no budget is given
_TRAIN, _HELD_OUT = 2000, 500
_DIGITS = (400, 200)
_TINY = 20  # pictures to be learnt by heart, at least two a class
_MEMORISED = 0.9  # accuracy on twenty pictures that were seen hundreds of times
_DISAGREEMENT = 0.01  # between the accuracy stated and that of the predictions
_finding = partial(algorithm_finding, "command")
_NEEDS_FIGURE = "predictions.csv (path,label,predicted) in {out}, or a log there that names the accuracy"


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """One run of the command: the pictures that it was given, what became of it, what it scored."""

    dataset: Dataset
    done: Done
    score: Score | None

    @property
    def reached(self) -> Estimate | None:
        """The accuracy with its interval; where there are no predictions, as if counted on the held-out pictures."""
        if self.score is None:
            return None
        if self.score.correct is not None:
            return accuracy(self.score.correct)
        held = max(1, len(self.dataset.indices("val")) + len(self.dataset.indices("test")))
        return proportion(round(self.score.accuracy * held), held)


def command_rung(
    context: Context,
    command: str,
    *,
    budget: float | None,
    folder: Path | None = None,
    known_good: IntArray | None = None,
) -> Rung:
    """Run the command on four data sets and judge by the accuracies alone.

    Args:
        context: The data.
        command: With ``{data}`` and ``{out}``.
        budget: Seconds for all runs; a quarter of an hour where ``None``.
        folder: Where it would be run; the current folder where ``None``. A copy of its code is used.
        known_good: What a reference stronger than the probe says, ``(n,)``; -1 where it was not asked.

    Raises:
        OptionError: The command cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="zoovet-", ignore_cleanup_errors=True) as scratch:
        seconds = _SECONDS if budget is None else budget
        box = _Box(context, command, Path(scratch).resolve(), folder or Path.cwd(), seconds)
        own, theirs = box.run()
    return box.rung(own, theirs, known_good)


class _Box:
    """The trials, and what they say."""

    def __init__(self, context: Context, command: str, scratch: Path, folder: Path, budget: float) -> None:
        self._context, self._command, self._scratch, self._folder = context, command, scratch, folder
        self._budget = Budget(budget)
        self._layout: Layout = layout_of(context.dataset)
        self._controls: list[Control] = []
        self._findings: list[Finding] = []
        self._failures: list[CheckFailure] = []
        self._open: list[NotTested] = []

    def run(self) -> tuple[_Trial | None, _Trial | None]:
        """All trials; that on known-good data and that on theirs."""
        whole = subset(self._context.dataset, _TRAIN, _HELD_OUT, self._context.seed)
        with tempfile.TemporaryDirectory(prefix="zoovet-") as digits:
            known_good = digits_like(whole, Path(digits), train=_DIGITS[0], held_out=_DIGITS[1])
            own = self._trial("own-code", known_good, share=3)
        theirs = self._theirs(whole, own)
        if theirs is None:
            return own, None
        self._findings += _honesty(theirs)
        each = max(2, _TINY // len(whole.classes))
        copies = len(theirs.dataset.indices("train")) // (each * len(whole.classes))
        memorised = self._trial("tiny-subset", tiny(whole, each=each, copies=max(1, min(50, copies))), share=2)
        if memorised is not None:
            self._findings.append(_memory(memorised))
        blind = self._trial("own-shuffled-labels", shuffled(theirs.dataset, self._context.seed), share=1)
        if blind is not None:
            self._findings.append(_blindness(blind))
        return own, theirs

    def _theirs(self, whole: Dataset, own: _Trial | None) -> _Trial | None:
        """Cell D, on as many pictures as the time allows, by what the digits cost."""
        if own is not None and own.done.seconds > 0:
            affordable = len(own.dataset) * self._budget.left / 3 / own.done.seconds
            if affordable < len(whole):
                share = max(affordable / len(whole), min(1.0, 200 / len(whole)))
                train = len(whole.indices("train"))
                whole = subset(whole, round(train * share), round((len(whole) - train) * share), self._context.seed)
        return self._trial("theirs", whole, share=2)

    def _trial(self, name: str, dataset: Dataset, *, share: int) -> _Trial | None:
        """Run the command on some data, in a folder of its own; ``None`` where it did not come to an accuracy."""
        if self._budget.left <= 0:
            self._open.append(NotTested(name=name, needs="a larger --budget"))
            return None
        self._context.progress(f"your command: {name}", 0, 1)
        place = self._scratch / name
        place.mkdir()
        laid = lay_out(dataset, self._layout, place / "data")
        out = place / "out"
        out.mkdir()
        copy_code(self._folder, place / "code")
        words = arguments(self._command, data=place / "data", out=out)
        done = run(words, folder=place / "code", scratch=place, seconds=self._budget.left / share)
        score = read_score(out, done.output, laid) if done.ending == "finished" else None
        trial = _Trial(dataset=dataset, done=done, score=score)
        self._note(name, trial)
        return trial if trial.score is not None else None

    def _note(self, name: str, trial: _Trial) -> None:
        done, reached = trial.done, trial.reached
        if done.ending == "late":
            where = f"; it was at {done.error}" if done.error else ""
            needs = f"a larger --budget (it ran for {done.seconds:.0f} s without an end{where})"
            self._open.append(NotTested(name=name, needs=needs))
        elif done.ending == "failed":
            self._crashed(name, done)
        elif reached is None:
            self._open.append(NotTested(name=name, needs=_NEEDS_FIGURE))
        if reached is not None and trial.score is not None:
            detail = f"your command, {len(trial.dataset)} pictures, read from {trial.score.source}"
            self._controls.append(Control(name=name, accuracy=reached, seconds=done.seconds, detail=detail))

    def _crashed(self, name: str, done: Done) -> None:
        """A crash on their own data is a finding; elsewhere the data may be to blame, which is ours."""
        if "PermissionError" in done.error or "Permission denied" in done.error:
            needs = f"a command that writes under {{out}} alone; elsewhere it is refused ({done.error})"
            self._open.append(NotTested(name=name, needs=needs))
            return
        if name != "theirs":
            self._failures.append(CheckFailure(check=name, error=done.error))
            return
        evidence = Evidence(statistic="exit status", value=float(done.status), reference=0.0)
        message = f"The command fails on your data: {done.error}."
        remedy = "Run it by hand to see the whole traceback, and mend the line."
        self._findings.append(_finding("crash", Outcome.FAIL, message, remedy, evidence))

    def _gap(self, theirs: _Trial, known_good: IntArray | None) -> Estimate | None:
        """Known-good less theirs on the same pictures, where predictions say which."""
        score = theirs.score
        if score is None or score.rows is None or score.correct is None:
            return None
        position = {path: i for i, path in enumerate(self._context.paths)}
        rows = np.array([position[theirs.dataset.samples[i].path] for i in score.rows], dtype=np.int64)
        both, said = known_good_says(self._context, rows, known_good)
        return paired_difference(said == self._context.labels[both], score.correct[np.isin(rows, both)])

    def rung(self, own: _Trial | None, theirs: _Trial | None, known_good: IntArray | None) -> Rung:
        """What the trials say together."""
        return Rung(
            findings=tuple(self._findings),
            controls=tuple(self._controls),
            failures=tuple(self._failures),
            not_tested=tuple(self._open),
            yours=theirs.reached if theirs is not None else None,
            gap=self._gap(theirs, known_good) if theirs is not None else None,
            own_code=own.reached if own is not None else None,
            own_line=OWN_LINE,
        )


def _memory(trial: _Trial) -> Finding:
    """A training that cannot learn a handful of pictures by heart learns nothing else either (P4)."""
    reached = trial.reached
    assert reached is not None
    evidence = Evidence(
        statistic="accuracy on a few pictures seen many times",
        value=reached.value,
        interval=reached.interval,
        reference=_MEMORISED,
        sample_size=len(set(trial.dataset.samples)),
        kind=Kind.INTERVENTION,
    )
    cause = "cannot-memorise"
    if reached.value >= _MEMORISED:
        return _finding(cause, Outcome.PASS, "A few pictures are learnt by heart.", "", evidence)
    message = (
        f"Of a few pictures that it was shown over and over, and is judged on, the command gets {reached.value:.0%}."
    )
    remedy = (
        "Nothing gets through to the weights, or the steps are far too small: zoo diagnose DATA --init train.py, fill it "
        "in and pass it as --algorithm to learn which part."
    )
    certain = reached.interval[1] < 1 - (1 - _MEMORISED) / 2
    return _finding(cause, Outcome.FAIL if certain else Outcome.REVIEW, message, remedy, evidence)


def _blindness(trial: _Trial) -> Finding:
    """With labels that mean nothing, accuracy above the commonest label's share is not accuracy."""
    reached = trial.reached
    assert reached is not None
    held = np.concatenate([trial.dataset.indices("val"), trial.dataset.indices("test")])
    chance = float(np.bincount(trial.dataset.labels[held]).max() / len(held)) if len(held) else 1.0
    evidence = Evidence(
        statistic="accuracy with shuffled labels",
        value=reached.value,
        interval=reached.interval,
        reference=chance,
        kind=Kind.INTERVENTION,
    )
    if reached.interval[0] <= chance + _DISAGREEMENT:
        return _finding("evaluation", Outcome.PASS, "With shuffled labels the score falls to chance.", "", evidence)
    message = f"With shuffled labels the command still scores {reached.value:.0%}; chance is {chance:.0%}."
    remedy = "The score is of pictures that were trained on, or the label leaks in: evaluate on held-out pictures only."
    return _finding("evaluation", Outcome.FAIL, message, remedy, evidence)


def _honesty(trial: _Trial) -> list[Finding]:
    """The accuracy that the command states against that of its own predictions (P9)."""
    score = trial.score
    assert score is not None
    if score.stated is None:
        return []
    evidence = Evidence(statistic="accuracy of the predictions", value=score.accuracy, reference=score.stated)
    if abs(score.stated - score.accuracy) <= _DISAGREEMENT:
        return []
    message = f"The command states {score.stated:.1%}; its own predictions have {score.accuracy:.1%}."
    remedy = "Count right answers and pictures over all batches, and divide once."
    return [_finding("evaluation", Outcome.FAIL, message, remedy, evidence)]
