"""Classes that images do not tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diagnose.check import DATA_CHECKS, Check, not_applicable, passed
from diagnose.comparison import paired_difference
from diagnose.context import Context
from diagnose.examination import FEWEST, confused, examine, first_block
from diagnose.findings import Estimate, Evidence, Example, Finding, Kind, Outcome, Side
from diagnose.noise import noise_rate
from diagnose.overlap import Pair, alike, merged
from diagnose.verdict import judge


@DATA_CHECKS.register("class-overlap")
@dataclass(frozen=True, kw_only=True)
class ClassOverlap(Check[Context]):
    """Pairs of classes that look the same, or largely so.

    What it does: for the most confused pairs, asks how well classifiers that never saw the label separate the two. A
    pair no better separated than by chance is one class under two names. A pair that is badly separated fails too
    where mistakes thin out on clear images (wrong labels are as frequent there) and nothing speaks for wrong labels, or
    where nothing speaks for them any more once the two are taken as one. The points are an experiment: the accuracy after
    merging the two and training again, less that before, cross-validated over all images.

    Why it is bad: no algorithm can tell apart what the images do not, and the accuracy asked for is out of reach.

    Known problems: a frozen model may miss a difference that fine-tuning would see; most of all where the domain is
    far from photographs. Half of a class relabelled as one other looks the same as an overlap,
    and so do labels given at random between two.

    Remedy: merge the classes, or write down what makes the difference and label the pair again.

    References: Northcutt et al. 2021, arXiv:1911.00068 (off-diagonal joint); Hanley and McNeil 1982,
    doi:10.1148/radiology.143.1.7063747 (area under the ROC curve and its error).
    """

    name: ClassVar[str] = "class-overlap"
    side: ClassVar[Side] = Side.DATA
    causes: ClassVar[tuple[str, ...]] = ("class-overlap",)

    fewest: int = FEWEST
    overlapping: float = 0.8  # separation below which a pair overlaps
    close: float = 0.93  # below which it is worth a remark

    def run(self, context: Context) -> list[Finding]:
        """Measure the most confused pairs; merge those that overlap."""
        if context.num_classes < 3 or len(context.dataset) < self.fewest:
            return [not_applicable(self, f"There are fewer than {self.fewest} images or three classes to compare.")]
        found = confused(context)
        if not found or found[0].separation >= self.close:
            return [passed(self, "Every pair of classes can be told apart.", evidence=_evidence(context, found[:1]))]
        failing = alike(found, context.num_classes)
        if not failing:
            failing = self._overlapping(context, [pair for pair in found if pair.separation < self.overlapping])
        shown = (failing or found)[:3]
        points = self._cost(context, failing) if failing else None
        evidence = _evidence(context, shown)
        if points is not None:
            won = "accuracy won by merging"
            evidence = (
                *evidence,
                Evidence(
                    statistic=won, value=points.value, interval=points.interval, unit="points", kind=Kind.INTERVENTION
                ),
            )
        return [
            Finding(
                check=self.name,
                cause="class-overlap",
                side=self.side,
                outcome=judge(points) if failing else Outcome.REVIEW,
                message=_message(context, shown, overlapping=bool(failing)),
                remedy="Merge these classes, or write down what makes the difference and label them again.",
                evidence=evidence,
                examples=_examples(context, shown),
                points=points,
            )
        ]

    def _overlapping(self, context: Context, candidates: list[Pair]) -> list[Pair]:
        """Those of the badly separated pairs that wrong labels anywhere else do not explain."""
        if not examine(context).noise.rate.interval[0]:
            return [pair for pair in candidates if pair.gradual]
        involved = {label for pair in candidates for label in pair.classes}
        if not candidates or len(involved) > context.num_classes / 2:
            return []
        block = first_block(context)
        labels = merged(block.labels, candidates)
        elsewhere = noise_rate(block.judges(labels, context.num_classes), labels)
        return [] if elsewhere.rate.interval[0] else candidates

    def _cost(self, context: Context, failing: list[Pair]) -> Estimate:
        """Accuracy after merging the pairs, less accuracy before, on the same images, each judged without being seen."""
        block = first_block(context)
        labels = merged(block.labels, failing)
        after = block.judges(labels, context.num_classes).predicted == labels
        return paired_difference(after, block.opinions.predicted == block.labels)


def _names(context: Context, pair: Pair) -> str:
    first, second = (context.dataset.classes[c] for c in pair.classes)
    return f"{first} and {second}"


def _message(context: Context, shown: list[Pair], *, overlapping: bool) -> str:
    listed = "; ".join(_names(context, pair) for pair in shown)
    if any(pair.same for pair in shown):
        return f"These classes are no better told apart than by chance: {listed}."
    return f"These classes {'overlap' if overlapping else 'are often confused'}: {listed}."


def _evidence(context: Context, shown: list[Pair]) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            statistic=f"separation of {_names(context, pair)}",
            value=pair.separation,
            reference=0.5,
            interval=(max(0.0, pair.separation - 2 * pair.error), min(1.0, pair.separation + 2 * pair.error)),
            unit="AUC",
            sample_size=pair.images,
        )
        for pair in shown
    )


def _examples(context: Context, shown: list[Pair]) -> tuple[Example, ...]:
    """Of each pair, the images that look most like the other class."""
    block = first_block(context)
    names, examples = context.dataset.classes, []
    for pair in shown:
        for own, other in (pair.classes, pair.classes[::-1]):
            members = np.flatnonzero(block.labels == own)
            lead = block.opinions.scores[members, other] - block.opinions.scores[members, own]
            rows = block.rows[members[np.argsort(-lead, kind="stable")[:4]]]
            note = f"labelled {names[own]}, looks like {names[other]}"
            examples += [Example(path=context.paths[row], note=note) for row in rows]
    return tuple(examples)
