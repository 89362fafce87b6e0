"""Classes with few pictures that are recognised worse for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diagnose.check import DATA_CHECKS, Check, not_applicable, passed
from diagnose.context import Context
from diagnose.findings import Estimate, Evidence, Example, Finding, Kind, Side
from diagnose.verdict import judge
from zoo.neighbours import IntArray


@DATA_CHECKS.register("class-imbalance")
@dataclass(frozen=True, kw_only=True)
class ClassImbalance(Check[Context]):
    """Rare classes whose pictures are recognised worse because they are rare.

    What it does: takes the classes with far fewer training pictures than the middle class. To see what rarity costs, the
    other classes are thinned to as few pictures, and their recall is measured before and after: a class that is rare but
    easy loses nothing by it. The points are of balanced accuracy (the mean recall of the classes).

    Why it is bad: the accuracy hides it, for rare classes hardly count in it; where all classes matter alike they do.

    Known problems: with a handful of held-out pictures of a class its recall is hardly known; the interval says so.

    Remedy: collect pictures of the rare classes; until then weigh the classes (``--balance``) and read the per-class recall.

    References: He and Garcia 2009, doi:10.1109/TKDE.2008.239; Buda et al. 2018, doi:10.1016/j.neunet.2018.07.011.
    """

    name: ClassVar[str] = "class-imbalance"
    side: ClassVar[Side] = Side.DATA
    causes: ClassVar[tuple[str, ...]] = ("class-imbalance",)

    rare_below: float = 0.2  # of the training pictures of the middle class
    fewest: int = 5  # held-out pictures of a class, below which its recall is not judged
    repeats: int = 5

    def run(self, context: Context) -> list[Finding]:
        """Find the rare classes, then measure what rarity costs them."""
        counts = np.bincount(context.labels[context.train], minlength=context.num_classes)
        held = np.bincount(context.labels[context.held_out], minlength=context.num_classes)
        if context.num_classes < 2 or len(context.dataset) < 20:
            return [not_applicable(self, "There are too few pictures to compare classes.")]
        rare = np.flatnonzero((counts < self.rare_below * np.median(counts[counts > 0])) & (counts > 0) & (held > 0))
        ratio = float(counts.max() / max(int(counts[counts > 0].min()), 1))
        evidence = Evidence(statistic="largest class over smallest", value=ratio, unit="times")
        if not len(rare):
            return [
                passed(
                    self, f"The largest class is {ratio:.1f} times the smallest; none is rare.", evidence=(evidence,)
                )
            ]
        cost = self._cost(context, rare, counts)
        names = ", ".join(f"{context.dataset.classes[c]} ({counts[c]})" for c in rare[:5])
        outcome = judge(cost)
        weighed = Evidence(
            statistic="balanced accuracy lost to rarity",
            value=cost.value,
            interval=cost.interval,
            unit="points",
            kind=Kind.INTERVENTION,
        )
        return [
            Finding(
                check=self.name,
                cause="class-imbalance",
                side=self.side,
                outcome=outcome,
                message=f"{len(rare)} of {context.num_classes} classes are rare in training: {names}.",
                remedy="Collect pictures of these classes; until then weigh the classes: zoo finetune DATA --balance",
                evidence=(evidence, weighed),
                examples=_missed(context, rare),
                points=cost,
            )
        ]

    def _cost(self, context: Context, rare: IntArray, counts: IntArray) -> Estimate:
        """Balanced accuracy that the rare classes lack, against what the others have that are not rare.

        The gap between the recall of the others and that of the rare, but at most what thinning costs the others.
        """
        truth, n = context.labels[context.held_out], context.num_classes
        common = np.flatnonzero(~np.isin(np.arange(n), rare) & (counts > 0))
        rng = np.random.default_rng(context.seed)
        usual = context.trial() == truth
        drops = []
        for _ in range(self.repeats):
            thinned = rng.permutation(common)[: max(1, len(rare))]
            keep = _thinned(context, thinned, int(np.median(counts[rare])), rng)
            after = context.trial(keep=keep) == truth
            chosen = np.isin(truth, thinned)
            drops.append(float(usual[chosen].mean() - after[chosen].mean()) if chosen.any() else 0.0)
        gap = _mean_recall(usual, truth, common) - _mean_recall(usual, truth, rare)
        seen = float(np.isin(truth, rare).sum())
        loss = min(float(np.mean(drops)), gap)
        spread = float(np.std(drops, ddof=1) ** 2 / len(drops) + 0.25 / max(seen, 1.0)) ** 0.5
        share = len(rare) / n
        half = 1.96 * spread
        return Estimate(value=share * loss, interval=(share * (loss - half), share * (loss + half)))


def _mean_recall(correct: np.ndarray[tuple[int], np.dtype[np.bool_]], truth: IntArray, classes: IntArray) -> float:
    recalls = [float(correct[truth == label].mean()) for label in classes if (truth == label).any()]
    return float(np.mean(recalls)) if recalls else 0.0


def _thinned(
    context: Context, classes: IntArray, count: int, rng: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which pictures stay when these classes keep so many training pictures each, ``(n,)``."""
    keep = np.ones(len(context.dataset), dtype=bool)
    for label in classes:
        members = rng.permutation(np.flatnonzero(context.labels == label))
        keep[members[count:]] = False
    return keep


def _missed(context: Context, rare: IntArray) -> tuple[Example, ...]:
    """Pictures of the rare classes that were taken for others."""
    predicted = context.predicted(context.best)
    wrong = np.flatnonzero(np.isin(context.labels, rare) & (predicted != context.labels))
    names = context.dataset.classes
    return tuple(
        Example(path=context.paths[i], note=f"{names[context.labels[i]]} taken for {names[predicted[i]]}")
        for i in wrong[:12]
    )
