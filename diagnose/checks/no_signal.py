"""Labels that have nothing to do with the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diagnose.check import DATA_CHECKS, Check, not_applicable, passed
from diagnose.comparison import permutation_p
from diagnose.context import Context
from diagnose.examination import FEWEST, Block, first_block
from diagnose.findings import Evidence, Finding, Outcome, Side
from diagnose.opinions import IntArray, Judges
from diagnose.verdict import judge


@dataclass(frozen=True, kw_only=True)
class _Skill:
    """Balanced accuracy above that for shuffled labels, as a share of what is above it.

    Attributes:
        value: 0 is chance, 1 is certainty.
        error: Standard deviation under shuffled labels, on the same scale.
        p: Share of the shuffles that do as well.
    """

    value: float
    error: float
    p: float


@DATA_CHECKS.register("no-signal")
@dataclass(frozen=True, kw_only=True)
class NoSignal(Check[Context]):
    """Labels that cannot be predicted from the images any better than shuffled ones.

    What it does: predicts each label from the other images, by linear classifiers and neighbours on all backbones,
    and does the same with the labels shuffled. Balanced accuracies are compared, so that one large class tells
    nothing.

    Why it is bad: there is nothing to learn. Labels and images got out of step (a wrong column, a shifted list, files
    renamed), or what is asked for does not show in the images.

    Known problems: what a frozen model does not see may be there all the same; a fine-tuned one may see it. With few
    images chance is wide: a weak signal is then neither found nor denied.

    Remedy: look at ten random images beside their labels; check how the two were joined.

    References: Ojala and Garriga 2010, Journal of Machine Learning Research 11; Phipson and Smyth 2010 (p above zero),
    doi:10.2202/1544-6115.1585.
    """

    name: ClassVar[str] = "no-signal"
    side: ClassVar[Side] = Side.DATA
    causes: ClassVar[tuple[str, ...]] = ("no-signal",)

    fewest: int = FEWEST
    most: int = 5000
    shuffles: int = 39
    level: float = 0.05
    negligible: float = 0.1  # skill; a signal whose upper end lies below is none worth having

    def run(self, context: Context) -> list[Finding]:
        """Compare with shuffled labels."""
        present = np.count_nonzero(np.bincount(context.labels, minlength=1))
        if present < 2 or len(context.dataset) < self.fewest:
            return [not_applicable(self, f"There are fewer than {self.fewest} images or two classes to learn from.")]
        skill = self._skill(context, first_block(context))
        evidence = Evidence(
            statistic="skill above shuffled labels",
            value=skill.value,
            reference=0.0,
            interval=(max(-1.0, skill.value - 2 * skill.error), min(1.0, skill.value + 2 * skill.error)),
            sample_size=len(context.dataset),
        )
        if skill.p <= self.level and skill.value >= self.negligible / 2:
            share = 100 * skill.value
            return [
                passed(
                    self,
                    f"The images tell the labels: {share:.0f} % of the way from chance to certainty.",
                    evidence=(evidence,),
                )
            ]
        sure = skill.value + 2 * skill.error < self.negligible
        return [
            Finding(
                check=self.name,
                cause="no-signal",
                side=self.side,
                outcome=judge(None, untrustworthy=sure) if sure else Outcome.REVIEW,
                message="The labels cannot be told from the images any better than shuffled ones."
                if sure
                else "The labels are hardly better told from the images than shuffled ones; too few images to be sure.",
                remedy="Look at ten random images beside their labels, and at how images and labels were joined.",
                evidence=(evidence,),
            )
        ]

    def _skill(self, context: Context, block: Block) -> _Skill:
        rng = np.random.default_rng(context.seed)
        given, judges = _some(context, block, rng, self.most)
        observed = _balanced(judges(given, context.num_classes).predicted, given)
        shuffled = np.empty(self.shuffles)
        for i in range(self.shuffles):
            labels = rng.permutation(given)
            shuffled[i] = _balanced(judges(labels, context.num_classes).predicted, labels)
        chance = float(shuffled.mean())
        scale = max(1 - chance, 1e-6)
        return _Skill(
            value=(observed - chance) / scale,
            error=float(shuffled.std(ddof=1)) / scale,
            p=permutation_p(observed, shuffled),
        )


def _some(context: Context, block: Block, rng: np.random.Generator, most: int) -> tuple[IntArray, Judges]:
    """Labels of so many images, and judges of them: shuffling tells as much on a part."""
    if len(block.rows) <= most:
        return block.labels, block.judges
    part = np.sort(rng.permutation(len(block.rows))[:most])
    rows = block.rows[part]
    return block.labels[part], Judges([context.reduced(context.best)[rows]], context.folds[rows])


def _balanced(predicted: IntArray, labels: IntArray) -> float:
    """Mean recall of the classes that occur."""
    count = np.bincount(labels)
    right = np.bincount(labels[predicted == labels], minlength=len(count))
    return float((right[count > 0] / count[count > 0]).mean())
