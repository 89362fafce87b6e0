"""The person's predictions scored again, and compared with the known-good model's on the same pictures."""

from __future__ import annotations

from functools import partial

import numpy as np

from diagnose.comparison import accuracy, paired_difference
from diagnose.context import Context
from diagnose.findings import Estimate, Evidence, Example, Finding, Kind, Outcome
from diagnose.predictions import OwnPredictions
from diagnose.rungs import algorithm_finding
from zoo.neighbours import IntArray

_finding = partial(algorithm_finding, "predictions")

_LIFT = 0.1  # accuracy that renaming the outputs must win
_DISAGREEMENT = 0.01  # between the accuracy stated and the one counted here


def judged_on(context: Context, predictions: OwnPredictions) -> IntArray:
    """Positions to compare on: held-out pictures that the file speaks of; any that it speaks of where there are none."""
    held_out = np.intersect1d(predictions.known, context.held_out)
    return held_out if len(held_out) else predictions.known


def rescore(
    context: Context, predictions: OwnPredictions, known_good: IntArray | None = None
) -> tuple[Estimate, Estimate]:
    """Their accuracy, and the reference's minus theirs on the same pictures.

    Args:
        context: The data.
        predictions: What their model says.
        known_good: What a reference stronger than the probe says, ``(n,)``; -1 where it was not asked.
    """
    rows = judged_on(context, predictions)
    theirs = predictions.predicted == context.labels
    both, said = known_good_says(context, rows, known_good)
    gap = paired_difference(said == context.labels[both], theirs[both])
    return accuracy(theirs[rows]), gap


def known_good_says(context: Context, rows: IntArray, known_good: IntArray | None) -> tuple[IntArray, IntArray]:
    """Those of the pictures that the known-good model was asked about, and what it says of each."""
    if known_good is None or not (known_good[rows] >= 0).any():
        return rows, context.predicted(context.best)[rows]
    both = rows[known_good[rows] >= 0]
    return both, known_good[both]


def prediction_findings(
    context: Context, predictions: OwnPredictions, known_good: IntArray | None = None
) -> list[Finding]:
    """What the predictions alone show: mixed-up outputs, a score that does not add up, and whose errors they are."""
    rows = judged_on(context, predictions)
    found = [
        _label_map(context, predictions, rows),
        _errors(context, predictions, *known_good_says(context, rows, known_good)),
    ]
    if context.got is not None:
        found.append(_evaluation(context, predictions, rows))
    return found


def _label_map(context: Context, predictions: OwnPredictions, rows: IntArray) -> Finding:
    """Whether another naming of the outputs fits much better (P9)."""
    from scipy.optimize import linear_sum_assignment  # 0.3 s that a mistake in the arguments need not wait for

    n = context.num_classes
    table = np.zeros((n, n), dtype=np.int64)
    np.add.at(table, (predictions.predicted[rows], context.labels[rows]), 1)
    outputs, classes = linear_sum_assignment(-table)
    renamed = np.zeros(n, dtype=np.int64)
    renamed[outputs] = classes
    truth, given = context.labels[rows], predictions.predicted[rows]
    gain = paired_difference(renamed[given] == truth, given == truth)
    evidence = Evidence(
        statistic="accuracy won by renaming the outputs",
        value=gain.value,
        interval=gain.interval,
        unit="points",
        sample_size=len(rows),
        kind=Kind.INTERVENTION,
    )
    if gain.value < _LIFT or gain.interval[0] <= 0:
        return _finding("label-map", Outcome.PASS, "The outputs carry the right names.", "", evidence)
    names = context.dataset.classes
    moved = [f"{names[i]} -> {names[renamed[i]]}" for i in range(n) if renamed[i] != i and table[i].sum()]
    return _finding(
        "label-map",
        Outcome.FAIL,
        f"The outputs are under wrong names: renaming them wins {100 * gain.value:.0f} points ({', '.join(moved[:5])}).",
        "Store the class order with the model, and read it where you predict: "
        f"class 0 is {names[0]!r}, class 1 {names[min(1, n - 1)]!r}, ...",
        evidence,
        points=gain,
    )


def _errors(context: Context, predictions: OwnPredictions, rows: IntArray, good: IntArray) -> Finding:
    """Errors that the known-good model makes too are the data's; errors only theirs are the algorithm's."""
    names = context.dataset.classes
    missed = predictions.predicted[rows] != context.labels[rows]
    wrong = rows[missed]
    alone = wrong[good[missed] == context.labels[wrong]]
    evidence = (
        Evidence(statistic="errors", value=float(len(wrong)), unit="pictures", sample_size=len(rows)),
        Evidence(
            statistic="errors that only your model makes",
            value=float(len(alone)),
            unit="pictures",
            sample_size=len(rows),
        ),
    )
    return _finding(
        "errors",
        Outcome.REVIEW if len(alone) else Outcome.PASS,
        f"Of your model's {len(wrong)} errors the known-good model makes {len(wrong) - len(alone)} too; {len(alone)} are "
        "your model's alone.",
        "",
        *evidence,
        examples=tuple(
            Example(
                path=context.paths[i],
                note=f"{names[context.labels[i]]} taken for {names[predictions.predicted[i]]} by your model only",
            )
            for i in alone[:24]
        ),
    )


def _evaluation(context: Context, predictions: OwnPredictions, rows: IntArray) -> Finding:
    """Whether the accuracy stated is the one that the predictions have."""
    assert context.got is not None
    counted = accuracy(predictions.predicted[rows] == context.labels[rows])
    off = abs(context.got - counted.value)
    evidence = Evidence(
        statistic="accuracy counted here", value=counted.value, reference=context.got, sample_size=len(rows)
    )
    if off <= _DISAGREEMENT:
        return _finding("evaluation", Outcome.PASS, "The stated accuracy is what the predictions give.", "", evidence)
    return _finding(
        "evaluation",
        Outcome.FAIL,
        f"You state an accuracy of {100 * context.got:.1f} %, but these predictions have {100 * counted.value:.1f} %.",
        "Check how the score is computed, and that it is over these very pictures and labels.",
        evidence,
    )
