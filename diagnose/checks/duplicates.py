"""Copies of pictures: in one split, across splits, and under different labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from diagnose.check import DATA_CHECKS, Check, not_applicable, passed
from diagnose.comparison import paired_difference, proportion
from diagnose.context import Context
from diagnose.findings import Estimate, Evidence, Example, Finding, Kind, Outcome, Side
from diagnose.groupings import Grouping, groupings, links
from diagnose.verdict import judge
from zoo.data import folds
from zoo.duplicates import merge

IntArray = npt.NDArray[np.int64]


@DATA_CHECKS.register("duplicates")
@dataclass(frozen=True, kw_only=True)
class Duplicates(Check[Context]):
    """Copies of one picture, exact or resized, re-encoded, flipped, turned or cropped.

    What it does: groups the copies. Reports redundant ones (``duplicates``), groups under several labels
    (``conflicting-duplicates``) and held-out pictures with a copy among the training ones (``split-leakage``).
    For leakage, the held-out pictures are predicted again when all that belongs with them is held out too, learning from as
    many others. Where nearly all copies lie within groups that the files' names, times or order suggest, they are frames of
    films, and the whole film belongs together.

    Why it is bad: a held-out picture that was learnt by heart tells nothing of new pictures; copies weigh more than other
    pictures; of two labels for one picture at least one is wrong, so that part of the error cannot be removed.

    Known problems: films of which no two frames are copies are not seen here: see ``group-leakage``. A small
    linear model profits less from leaked copies than a network that learns them by heart: the points shown are a lower
    bound, and leakage fails by its share alone.

    Remedy: keep copies of a picture in one split, and one of them only: ``zoo diagnose DATA --fix OUT``.

    References: multi-index hashing, Norouzi et al. 2012, doi:10.1109/CVPR.2012.6248043; Barz and Denzler 2020 on
    duplicates in CIFAR, doi:10.3390/jimaging6060041.
    """

    name: ClassVar[str] = "duplicates"
    side: ClassVar[Side] = Side.DATA
    causes: ClassVar[tuple[str, ...]] = ("duplicates", "conflicting-duplicates", "split-leakage")

    redundant_share: float = 0.05  # above which copies fail, where they also lift a random split's accuracy
    leaked_share: float = 0.01  # of the held-out pictures; the interval's lower end must exceed it
    noted: int = 1  # groups
    films: float = 0.9  # share of the copies that lie within guessed groups; above it the groups belong together
    fewest: int = 20  # copies, to tell that from
    splits: int = 3  # by which the leaked pictures are predicted anew

    def run(self, context: Context) -> list[Finding]:
        """Group the copies, then look at labels and splits."""
        groups = context.duplicates
        return [self._redundant(context, groups), self._conflicting(context, groups), self._leaked(context, groups)]

    def _redundant(self, context: Context, groups: IntArray) -> Finding:
        size = np.bincount(groups)
        redundant, n = int((size - 1)[size > 0].sum()), len(groups)
        evidence = (Evidence(statistic="redundant", value=redundant / n, unit="share", sample_size=n),)
        if redundant < self.noted:
            return passed(self, "No picture is a copy of another.", evidence=evidence)
        outcome, points = Outcome.REVIEW, None
        if redundant / n >= self.redundant_share and not context.splits_given:
            gain = _inflation(context)
            outcome = judge(gain)
            points = gain if outcome is Outcome.FAIL else None
        return Finding(
            check=self.name,
            cause="duplicates",
            side=self.side,
            outcome=outcome,
            message=f"{redundant} of {n} pictures are copies of others, in {int((size > 1).sum())} groups.",
            remedy="Keep one of each group: zoo diagnose DATA --fix OUT",
            evidence=evidence,
            examples=_examples(context, groups, np.flatnonzero(size > 1)),
            points=points,
        )

    def _conflicting(self, context: Context, groups: IntArray) -> Finding:
        table = _labels_by_group(context, groups)
        torn = np.flatnonzero((table > 0).sum(axis=1) > 1)
        if not len(torn):
            return passed(self, "No copies carry different labels.", cause="conflicting-duplicates")
        wrong = int((table[torn].sum(axis=1) - table[torn].max(axis=1)).sum())
        cost = proportion(wrong, len(groups))
        outcome = judge(cost)
        return Finding(
            check=self.name,
            cause="conflicting-duplicates",
            side=self.side,
            outcome=outcome,
            message=f"{len(torn)} pictures exist in copies under different labels; at least {wrong} labels are wrong.",
            remedy="Look at each group and keep one label: zoo diagnose DATA --review",
            evidence=(
                Evidence(statistic="labels wrong at least", value=cost.value, interval=cost.interval, unit="share"),
            ),
            examples=_examples(context, groups, torn),
            points=cost if outcome is Outcome.FAIL else None,
        )

    def _leaked(self, context: Context, groups: IntArray) -> Finding:
        if not context.splits_given:
            return not_applicable(self, "The data came without splits.", cause="split-leakage")
        held_out = context.held_out
        leaked = np.isin(groups[held_out], groups[context.train])
        share = proportion(int(leaked.sum()), len(held_out))
        evidence = Evidence(
            statistic="leaked", value=share.value, interval=share.interval, unit="share", sample_size=len(held_out)
        )
        if not leaked.any():
            return passed(self, "No held-out picture has a copy among the training ones.", cause="split-leakage")
        void = share.interval[0] > self.leaked_share
        films = self._films(context, groups)
        points = self._gain(context, groups if films is None else merge(groups, links(films.groups)))
        with_copies = Evidence(
            statistic="accuracy with all that belongs with the held-out pictures minus without",
            value=points.value,
            interval=points.interval,
            unit="points",
            kind=Kind.INTERVENTION,
        )
        shown = np.unique(groups[held_out[leaked]])
        return Finding(
            check=self.name,
            cause="split-leakage",
            side=self.side,
            outcome=judge(None, untrustworthy=void),
            message=f"{int(leaked.sum())} of {len(held_out)} held-out pictures have a copy in the training part: "
            "the accuracy measured on them is too high."
            + ("" if films is None else f" They are frames of groups by {films.name}, which the split takes apart."),
            remedy="Keep all copies of a picture in one split: zoo diagnose DATA --fix OUT",
            evidence=(evidence, with_copies),
            examples=_examples(context, groups, shown),
            points=points if void and points.interval[0] > 0 else None,
        )

    def _films(self, context: Context, groups: IntArray) -> Grouping | None:
        """What the copies are frames of, where they are."""
        copies = links(groups)
        if len(copies) < self.fewest:
            return None
        inside = [(float((g.groups[copies[:, 0]] == g.groups[copies[:, 1]]).mean()), g) for g in groupings(context)]
        most = max(inside, key=lambda pair: pair[0], default=None)
        return None if most is None or most[0] < self.films else most[1]

    def _gain(self, context: Context, together: IntArray) -> Estimate:
        """Held-out accuracy minus that with the pictures' groups held out as well; others than leaked ones win nothing."""
        held_out, train, labels = context.held_out, context.train, context.labels
        leaked = np.isin(together[held_out], together[train])
        parts = max(2, round(len(labels) / len(held_out)))
        right = np.zeros((self.splits, len(labels)), dtype=bool)
        for seed in range(self.splits):
            rng = np.random.default_rng(context.seed + seed)
            fold = folds(labels, together, parts, context.seed + seed)
            for number in range(parts):
                test = np.flatnonzero(fold == number)
                learnt = rng.permutation(np.flatnonzero(fold != number))[: len(train)]
                right[seed, test] = context.fit_predict(learnt, test) == labels[test]
        given = np.broadcast_to(context.trial() == labels[held_out], (self.splits, len(held_out)))
        return paired_difference(given & leaked, right[:, held_out] & leaked, groups=together[held_out])


def _labels_by_group(context: Context, groups: IntArray) -> IntArray:
    """How many pictures of each label each group holds, ``(groups, C)``."""
    table = np.zeros((int(groups.max(initial=-1)) + 1, context.num_classes), dtype=np.int64)
    np.add.at(table, (groups, context.labels), 1)
    return table


def _inflation(context: Context) -> Estimate:
    """Accuracy of folds that ignore copies minus that of folds that keep them together, over three seeds."""
    apart = [folds(context.labels, None, 5, context.seed + seed) for seed in range(3)]
    together = [folds(context.labels, context.groups, 5, context.seed + seed) for seed in range(3)]
    truth = context.labels[context.held_out]
    return paired_difference(
        np.stack([context.trial(folds=fold) == truth for fold in apart]),
        np.stack([context.trial(folds=fold) == truth for fold in together]),
    )


def _examples(context: Context, groups: IntArray, chosen: IntArray) -> tuple[Example, ...]:
    """One example a group, up to 50: its first picture, the others as related."""
    order = np.argsort(groups, kind="stable")
    first = np.searchsorted(groups[order], chosen[:50])
    last = np.searchsorted(groups[order], chosen[:50], side="right")
    found = []
    for start, end in zip(first, last, strict=True):
        members = order[start:end]
        labels = sorted({context.dataset.classes[context.labels[member]] for member in members})
        found.append(
            Example(
                path=context.paths[members[0]],
                note=f"{len(members)} copies, labelled {', '.join(labels)}",
                related=tuple(context.paths[member] for member in members[1:7]),
            )
        )
    return tuple(found)
