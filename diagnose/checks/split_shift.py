"""A held-out part that is unlike the training part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diagnose import linear
from diagnose.check import DATA_CHECKS, Check, not_applicable, passed
from diagnose.comparison import accuracy, permutation_p
from diagnose.context import Context
from diagnose.differences import area, differences
from diagnose.findings import Estimate, Evidence, Example, Finding, Kind, Outcome, Side
from diagnose.verdict import judge
from zoo.data import folds
from zoo.neighbours import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class _Shift:
    """How unlike the two parts are."""

    auc: float
    auc_p: float
    label_effect: float
    label_p: float
    predicted_p: float
    oddness: FloatArray


@DATA_CHECKS.register("split-shift")
@dataclass(frozen=True, kw_only=True)
class SplitShift(Check[Context]):
    """A validation or test part that differs from the training part, to the accuracy's harm.

    What it does: three tests and a trial. A classifier tells training pictures from held-out ones (its AUC, and a
    permutation test); the labels' frequencies are compared (chi-squared, Cramer's V), and those of the predicted labels.
    Then the pictures are split again at random, in the same proportion: if the accuracy recovers, the given split harms.
    Only harm makes it a fault.

    Why it is bad: the accuracy measured is that of another task than the one learnt.

    Known problems: with many pictures every difference is significant, so the effect is reported and the trial decides. A
    split by place or time is a shift on purpose: then the harm is real and is the figure to quote. Copies on both sides
    hide a shift.

    Remedy: split at random within the classes, or collect training pictures like the held-out ones.

    References: Lopez-Paz and Oquab 2017, arXiv 1610.06545; Lipton et al. 2018 (BBSD), arXiv 1802.03916; Rabanser et al.
    2019, arXiv 1810.11953.
    """

    name: ClassVar[str] = "split-shift"
    side: ClassVar[Side] = Side.DATA
    causes: ClassVar[tuple[str, ...]] = ("split-shift",)

    noted_auc: float = 0.6
    noted_effect: float = 0.1  # Cramer's V of the labels
    level: float = 0.01
    permutations: int = 200
    resplits: int = 3
    fewest: int = 20  # held-out pictures

    def run(self, context: Context) -> list[Finding]:
        """Test, then try a random split."""
        if not context.splits_given or min(len(context.train), len(context.held_out)) < self.fewest:
            return [not_applicable(self, "There are no given splits of some size to compare.")]
        shift = self._shift(context)
        harm = self._harm(context)
        looks = shift.auc_p <= self.level and shift.auc >= self.noted_auc
        labels = min(shift.label_p, shift.predicted_p) <= self.level and shift.label_effect >= self.noted_effect
        evidence = (
            Evidence(statistic="AUC of telling the parts apart", value=shift.auc, reference=0.5),
            Evidence(statistic="p of that AUC", value=shift.auc_p),
            Evidence(statistic="difference of the labels (Cramer's V)", value=shift.label_effect, reference=0.0),
            Evidence(
                statistic="accuracy won by a random split",
                value=harm.value,
                interval=harm.interval,
                unit="points",
                kind=Kind.INTERVENTION,
            ),
        )
        if not (looks or labels):
            return [passed(self, "The held-out pictures are like the training ones.", evidence=evidence)]
        outcome = judge(harm)
        return [
            Finding(
                check=self.name,
                cause="split-shift",
                side=self.side,
                outcome=outcome,
                message=(_appearance(context, shift) if looks else _label_shift(shift))
                + (
                    ", and the accuracy recovers when they are mixed." if outcome is Outcome.FAIL else ", without harm."
                ),
                remedy="Split at random within the classes, or collect training pictures like the held-out ones.",
                evidence=evidence,
                examples=_oddest(context, shift),
                points=harm if outcome is Outcome.FAIL else None,
            )
        ]

    def _shift(self, context: Context) -> _Shift:
        rows = np.concatenate([context.train, context.held_out])
        part = np.isin(rows, context.held_out).astype(np.int64)
        rng = np.random.default_rng(context.seed)
        chosen = rng.permutation(len(rows))[:20_000]
        rows, part = rows[chosen], part[chosen]
        targets = np.stack([part, *(rng.permutation(part) for _ in range(self.permutations))], axis=1).astype(
            np.float32
        )
        x = context.reduced(context.best)[rows]
        fold = folds(part, context.groups[rows], 5, context.seed)
        scores = np.zeros_like(targets)
        for number in np.unique(fold):
            test = fold == number
            scores[test] = linear.ridge(x[~test], targets[~test], x[test])
        aucs = np.array([area(scores[:, i], targets[:, i] > 0) for i in range(targets.shape[1])])
        label_p, effect = _frequencies(context.labels[rows], part)
        predicted_p, _ = _frequencies(context.predicted(context.best)[rows], part)
        oddness = np.zeros(len(context.dataset), dtype=np.float32)
        oddness[rows] = scores[:, 0]
        return _Shift(
            auc=float(aucs[0]),
            auc_p=permutation_p(float(aucs[0]), aucs[1:]),
            label_effect=effect,
            label_p=label_p,
            predicted_p=predicted_p,
            oddness=oddness,
        )

    def _harm(self, context: Context) -> Estimate:
        """Accuracy on random splits of the given proportion minus that on the given split."""
        given = accuracy(context.correct(context.best)[context.held_out])
        share = len(context.held_out) / len(context.dataset)
        parts = max(2, round(1 / share))
        right, seen = 0, 0
        for seed in range(self.resplits):
            fold = folds(context.labels, context.groups, parts, context.seed + seed)
            test, rest = np.flatnonzero(fold == 0), np.flatnonzero(fold != 0)
            train = np.random.default_rng(seed).permutation(rest)[: len(context.train)]
            right += int((context.fit_predict(train, test) == context.labels[test]).sum())
            seen += len(test)
        mixed = right / max(seen, 1)
        # The repeats overlap, so that they count as one split's pictures and not as three.
        half = 1.96 * (mixed * (1 - mixed) / max(seen / self.resplits, 1)) ** 0.5
        return Estimate(value=mixed, interval=(mixed - half, mixed + half)) - given


def _appearance(context: Context, shift: _Shift) -> str:
    """That held-out pictures look different, and how, where what was measured of them says so."""
    ways = differences(context.statistics, context.is_held_out)
    seen = f"Held-out pictures can be told from training ones (AUC {shift.auc:.2f})"
    return f"{seen}: they are {', '.join(ways)}" if ways else seen


def _label_shift(shift: _Shift) -> str:
    return f"The classes are not as frequent among the held-out pictures (Cramer's V {shift.label_effect:.2f})"


def _frequencies(labels: IntArray, part: IntArray) -> tuple[float, float]:
    """Chi-squared p value and Cramer's V of the labels' frequencies in the two parts."""
    table = np.zeros((2, int(labels.max(initial=0)) + 1))
    np.add.at(table, (part, labels), 1)
    table = table[:, table.sum(axis=0) > 0]
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    freedom = table.shape[1] - 1
    if freedom == 0:
        return 1.0, 0.0
    from scipy.stats import chi2  # a list of checks need not load it

    return float(chi2.sf(statistic, freedom)), float((statistic / table.sum()) ** 0.5)


def _oddest(context: Context, shift: _Shift) -> tuple[Example, ...]:
    """The held-out pictures least like training ones."""
    held_out = context.held_out
    odd = held_out[np.argsort(-shift.oddness[held_out], kind="stable")][:12]
    return tuple(
        Example(path=context.paths[i], note="unlike the training pictures", score=float(shift.oddness[i])) for i in odd
    )
