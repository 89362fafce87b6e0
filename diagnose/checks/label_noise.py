"""Labels that are wrong: how many, which, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diagnose.check import DATA_CHECKS, Check, not_applicable
from diagnose.comparison import paired_difference
from diagnose.context import Context
from diagnose.examination import FEWEST, Examination, examine
from diagnose.findings import Estimate, Evidence, Example, Finding, Kind, Outcome, Side
from diagnose.noise import NoiseRate
from diagnose.opinions import IntArray
from diagnose.verdict import judge


@DATA_CHECKS.register("label-noise")
@dataclass(frozen=True, kw_only=True)
class LabelNoise(Check[Context]):
    """Labels that contradict what classifiers see that never saw the label.

    What it does: estimates the share of wrong labels with an interval, ranks the labels, calls as many suspect as the
    estimate says, suggests another label for each, and says how many of the suspects to expect truly wrong (measured
    by planting wrong labels in this data). The points are of two kinds. What wrong labels in training cost is an
    experiment: dropping the suspects against dropping as many others of the same classes, judged on all held-out
    images with their given labels, so that nothing is judged on images that a classifier chose. What wrong labels
    among the held-out images cost follows from their rate: a model that is right there is counted wrong.

    Why it is bad: a model learns the mistakes, and no model can be measured to be better than the labels.

    Known problems: wrong labels on hard images cannot be told from hard images; the interval is then wide. Where half
    of a class bears another's label there is no telling which is right. Classes that overlap are not wrong labels.

    Remedy: look at the suspects (``--review``), correct or drop them (``--fix OUT`` writes the manifest).

    References: Northcutt et al. 2021, arXiv:2103.14749; Patrini et al. 2017, arXiv:1609.03683;
    ``diagnose/noise.py`` says how the rate is estimated, ``docs/diagnose.md`` how well.
    """

    name: ClassVar[str] = "label-noise"
    side: ClassVar[Side] = Side.DATA
    causes: ClassVar[tuple[str, ...]] = ("label-noise",)

    fewest: int = FEWEST
    repeats: int = 3

    def run(self, context: Context) -> list[Finding]:
        """Estimate, rank, and take the suspects away."""
        if context.num_classes < 2 or len(context.dataset) < self.fewest:
            return [
                not_applicable(self, f"There are fewer than {self.fewest} images or two classes to judge labels by.")
            ]
        found = examine(context)
        evidence = [_rate(found.noise)]
        if not found.noise.rate.interval[0]:
            return [self._nothing(context, found, tuple(evidence))]
        learnt, measured = self._training_cost(context, found.suspects), measurement_cost(context, found.held_out_noise)
        points = _sum(learnt, measured)
        evidence += [
            _points("accuracy won by dropping the suspects from training", learnt, Kind.INTERVENTION),
            _points("accuracy that wrong labels among the held-out images hide", measured, Kind.OBSERVATION),
        ]
        return [
            Finding(
                check=self.name,
                cause="label-noise",
                side=self.side,
                outcome=judge(points),
                message=_message(found),
                remedy="Look at the suspects with --review, or write a corrected manifest with --fix OUT.",
                evidence=tuple(evidence),
                examples=_examples(context, found),
                points=points,
            )
        ]

    def _nothing(self, context: Context, found: Examination, evidence: tuple[Evidence, ...]) -> Finding:
        """The labels may all be right. Some may be worth a look all the same."""
        odd = bool((found.log_odds < 0).any())
        high = 100 * found.noise.rate.interval[1]
        look = f" {len(found.suspects)} of them are worth a look." if odd else ""
        return Finding(
            check=self.name,
            cause="label-noise",
            side=self.side,
            outcome=Outcome.REVIEW if odd else Outcome.PASS,
            message=f"The labels may all be right; at most {high:.0f} % are wrong.{look}",
            remedy="Look at them with --review." if odd else "",
            evidence=evidence,
            examples=_examples(context, found) if odd else (),
        )

    def _training_cost(self, context: Context, suspects: IntArray) -> Estimate:
        """Accuracy won by dropping the suspects, against dropping as many others of the same classes at random."""
        rng = np.random.default_rng(context.seed)
        truth, n = context.labels[context.held_out], len(context.dataset)
        keep = np.ones(n, dtype=bool)
        keep[suspects] = False
        after = context.trial(keep=keep) == truth
        before = np.stack([context.trial(keep=_others(context, suspects, rng)) == truth for _ in range(self.repeats)])
        return paired_difference(np.broadcast_to(after, before.shape), before)


def measurement_cost(context: Context, noise: NoiseRate) -> Estimate:
    """Accuracy that wrong labels among held-out images hide: with right ones it would be ``measured / (1 - rate)``."""
    measured = float(context.correct(context.best)[context.held_out].mean())

    def hidden(rate: float) -> float:
        return min(measured * rate / max(1 - rate, 1e-6), 1 - measured)

    low, high = noise.rate.interval
    return Estimate(value=hidden(noise.rate.value), interval=(hidden(low), hidden(high)))


def _others(
    context: Context, suspects: IntArray, rng: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """All images but as many of each class as are suspect, chosen at random."""
    keep = np.ones(len(context.dataset), dtype=bool)
    counts = np.bincount(context.labels[suspects], minlength=context.num_classes)
    for label in np.flatnonzero(counts):
        keep[rng.permutation(np.flatnonzero(context.labels == label))[: counts[label]]] = False
    return keep


def _sum(first: Estimate, second: Estimate) -> Estimate:
    """Both together; the interval by the square-and-add rule (Newcombe 1998)."""
    negative = Estimate(value=-second.value, interval=(-second.interval[1], -second.interval[0]))
    return first - negative


def _message(found: Examination) -> str:
    low, high = (100 * end for end in found.noise.rate.interval)
    return (
        f"About {100 * found.noise.rate.value:.0f} % of the labels are wrong ({low:.0f} to {high:.0f} %): "
        f"{len(found.suspects)} flagged, expect {found.expected[0]} to {found.expected[1]} real."
    )


def _rate(noise: NoiseRate) -> Evidence:
    return Evidence(
        statistic="share of wrong labels",
        value=noise.rate.value,
        interval=noise.rate.interval,
        reference=0.0,
        unit="share",
        sample_size=noise.sample_size,
    )


def _points(statistic: str, cost: Estimate, kind: Kind) -> Evidence:
    return Evidence(statistic=statistic, value=cost.value, interval=cost.interval, unit="points", kind=kind)


def _examples(context: Context, found: Examination) -> tuple[Example, ...]:
    """All suspects, the surest first."""
    names = context.dataset.classes
    wrong = 1 / (1 + np.exp(np.clip(found.log_odds, -30, 30)))
    return tuple(
        Example(
            path=context.paths[i],
            note=f"labelled {names[context.labels[i]]}",
            suggestion=names[suggested],
            score=float(score),
        )
        for i, suggested, score in zip(found.suspects, found.suggested, wrong, strict=True)
    )
