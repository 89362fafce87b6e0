"""Whether more pictures would help, and how many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diagnose.check import DATA_CHECKS, Check, not_applicable, passed
from diagnose.context import Context
from diagnose.findings import Evidence, Finding, Kind, Outcome, Side
from diagnose.learning_curve import LearningCurve, learning_curve


@DATA_CHECKS.register("too-few-images")
@dataclass(frozen=True, kw_only=True)
class TooFewImages(Check[Context]):
    """Whether the accuracy is still rising with the number of training pictures.

    What it does: learns from a quarter, a half, three quarters and all of the training pictures, five to twenty times, lays a
    power law through the errors, and reports by how much the error would fall if their number were doubled, with an interval.
    More pictures nearly always help a little: without a target it is a fault only where doubling wins five points or more,
    and surely some; under a missed target one point or more, and surely half a point.

    Why it is bad: no algorithm can learn what the pictures do not show.

    Known problems: how far the curve goes on falling cannot be known from its beginning (Hoiem et al. 2021): one doubling
    is all that is foretold, the number needed for a target is a rough guide. One curve in seven misbehaves (LCDB 1.1): where
    the error does not fall steadily, nothing is foretold. With four pictures a class the interval is a dozen points wide,
    since other four would do so much better or worse. The curve is that of a probe on frozen features.

    Remedy: more pictures, of the classes with the lowest recall first.

    References: Hoiem et al. 2021, arXiv 2010.11029; Mohr et al. (LCDB) 2022, doi:10.1007/978-3-031-26419-1_1.
    """

    name: ClassVar[str] = "too-few-images"
    side: ClassVar[Side] = Side.DATA
    causes: ClassVar[tuple[str, ...]] = ("too-few-images",)

    failing_gain: float = 0.05  # from doubling, where no target was given
    noted_gain: float = 0.01  # from doubling; where a target is missed this much fails

    def run(self, context: Context) -> list[Finding]:
        """Measure the curve and read off its slope."""
        largest = int(np.bincount(context.labels[context.train], minlength=context.num_classes).max())
        if context.num_classes < 2 or largest < 2 or len(context.dataset) < 40:
            return [not_applicable(self, "There are too few pictures to draw a learning curve.")]
        curve = learning_curve(context)
        gain = curve.gain_from_doubling()
        error = float(curve.errors[:, -1].mean())
        evidence = (
            Evidence(
                statistic="accuracy won by doubling",
                value=gain.value,
                interval=gain.interval,
                unit="points",
                sample_size=int(curve.sizes[-1]),
                kind=Kind.INTERVENTION,
            ),
        )
        if not curve.monotone:
            return [
                not_applicable(self, "The error does not fall steadily with more pictures: nothing can be foretold.")
            ]
        missed = context.target is not None and 1 - error < context.target
        limit, surely = (self.noted_gain, self.noted_gain / 2) if missed else (self.failing_gain, 0.0)
        if gain.value < self.noted_gain or gain.interval[0] <= 0:
            return [
                passed(
                    self,
                    f"Doubling the {curve.sizes[-1]} pictures would win {100 * gain.value:.1f} points.",
                    evidence=evidence,
                )
            ]
        return [
            Finding(
                check=self.name,
                cause="too-few-images",
                side=self.side,
                outcome=Outcome.FAIL if gain.value >= limit and gain.interval[0] >= surely else Outcome.REVIEW,
                message=f"The accuracy still rises: twice the {curve.sizes[-1]} training pictures would win about "
                f"{100 * gain.value:.1f} points.",
                remedy=self._remedy(context, curve),
                evidence=evidence,
                points=gain,
            )
        ]

    def _remedy(self, context: Context, curve: LearningCurve) -> str:
        worst = _weakest(context)
        advice = f"Add pictures, first of: {', '.join(worst)}."
        if context.target is None:
            return advice
        needed = curve.needed(1 - context.target)
        if needed is None:
            return f"{advice} Numbers alone are unlikely to reach the target."
        return f"{advice} About {needed} may reach the target, if the curve goes on like this."


def _weakest(context: Context) -> list[str]:
    """The three classes with the lowest recall."""
    correct, held_out = context.correct(context.best)[context.held_out], context.labels[context.held_out]
    right = np.bincount(held_out, weights=correct, minlength=context.num_classes)
    seen = np.bincount(held_out, minlength=context.num_classes)
    recall = np.where(seen > 0, right / np.maximum(seen, 1), np.inf)
    return [context.dataset.classes[label] for label in np.argsort(recall, kind="stable")[:3]]
