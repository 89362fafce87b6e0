"""Pictures of one patient, film or burst on both sides of a split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diagnose.check import DATA_CHECKS, Check, passed
from diagnose.comparison import paired_difference
from diagnose.context import Context
from diagnose.findings import Estimate, Evidence, Example, Finding, Kind, Outcome, Side
from diagnose.groupings import Grouping, groupings, links, shuffled_within, straddling, strata
from diagnose.verdict import judge
from zoo.data import folds
from zoo.duplicates import merge
from zoo.neighbours import IntArray


@DATA_CHECKS.register("group-leakage")
@dataclass(frozen=True, kw_only=True)
class GroupLeakage(Check[Context]):
    """Pictures that belong together (a patient, a film, a burst) on both sides of a split.

    What it does: guesses groups from file names, folders, capture times and, where consecutive files are more alike than
    chance allows, from the order of the files. Each guess is tried out: the accuracy when whole groups are held out
    against the accuracy when groups of the same sizes, drawn at random within the classes, are. Only a guess that changes
    the accuracy is reported.

    Why it is bad: the model is tested on what it has all but seen. Detectors have scored a perfect mAP on such a split and
    48 % in reality.

    Known problems: a guess may also hold out what is rare (one supplier, one site); then the accuracy falls because the
    new pictures are truly different. That is worth knowing, but its remedy is more variety. Given groups (a column
    ``group`` of the manifest) are respected everywhere and not questioned.

    Remedy: name the groups (a column ``group`` in the manifest) and split by them.

    References: Kapoor and Narayanan 2023, doi:10.1016/j.patter.2023.100804; cleanlab's non-iid test.
    """

    name: ClassVar[str] = "group-leakage"
    side: ClassVar[Side] = Side.DATA
    causes: ClassVar[tuple[str, ...]] = ("group-leakage",)

    smallest_cost: float = 0.02  # accuracy that holding out whole groups must cost
    seeds: int = 2

    def run(self, context: Context) -> list[Finding]:
        """Try the guesses; report the one that costs most."""
        if any(sample.group is not None for sample in context.dataset.samples) and not context.splits_given:
            return [passed(self, "The groups are named, and no split separates them.")]
        tried = [(self._cost(context, grouping), grouping) for grouping in groupings(context)]
        if not tried:
            return [passed(self, "Neither names nor times nor the order of the files suggest groups.")]
        cost, grouping = max(tried, key=lambda pair: pair[0].value)
        evidence = Evidence(
            statistic="accuracy lost when whole groups are held out",
            value=cost.value,
            interval=cost.interval,
            unit="points",
            kind=Kind.INTERVENTION,
            sample_size=len(context.dataset),
        )
        split = not context.splits_given or bool(
            straddling(grouping.groups, context.train, context.held_out).mean() > 0.1
        )
        if not split or cost.value < self.smallest_cost or judge(cost) is not Outcome.FAIL:
            return [
                passed(self, f"Holding out whole groups by {grouping.name} costs no accuracy.", evidence=(evidence,))
            ]
        count = int(grouping.groups.max()) + 1
        return [
            Finding(
                check=self.name,
                cause="group-leakage",
                side=self.side,
                outcome=Outcome.FAIL,
                message=f"The pictures come in {count} groups by {grouping.name}, and the split separates them: "
                "accuracy on new groups is lower than what is measured.",
                remedy="Name the groups in a column 'group' of the manifest; then splits keep them together.",
                evidence=(evidence,),
                examples=_examples(context, grouping.groups),
                points=cost,
            )
        ]

    def _cost(self, context: Context, grouping: Grouping) -> Estimate:
        """Accuracy with groups of these sizes drawn at random held out, minus that with the guessed groups held out."""
        rng = np.random.default_rng(context.seed)
        real, chance = [], []
        labels, x, kinds = context.labels, context.groups, strata(context)
        for seed in range(self.seeds):
            together = merge(grouping.groups, links(x))
            shuffled = merge(together[shuffled_within(kinds, rng)], links(x))
            real.append(_correct(context, folds(labels, together, 5, seed)))
            chance.append(_correct(context, folds(labels, shuffled, 5, seed)))
        return paired_difference(np.stack(chance), np.stack(real))


def _correct(context: Context, fold: IntArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether each picture is predicted right when its fold is held out; the given splits play no part."""
    right = np.zeros(len(fold), dtype=bool)
    for number in np.unique(fold):
        test = np.flatnonzero(fold == number)
        right[test] = context.fit_predict(np.flatnonzero(fold != number), test) == context.labels[test]
    return right


def _examples(context: Context, groups: IntArray) -> tuple[Example, ...]:
    """The largest groups that lie on both sides."""
    apart = np.unique(groups[context.held_out][straddling(groups, context.train, context.held_out)])
    size = np.bincount(groups)
    chosen = apart[np.argsort(-size[apart], kind="stable")][:10]
    members = [np.flatnonzero(groups == group) for group in chosen]
    return tuple(
        Example(
            path=context.paths[rows[0]],
            note=f"a group of {len(rows)}",
            related=tuple(context.paths[row] for row in rows[1:5]),
        )
        for rows in members
    )
