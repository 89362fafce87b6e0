"""Class names that are spelt in two ways, and classes that training never shows."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np

from diagnose.check import DATA_CHECKS, Check, passed
from diagnose.comparison import paired_difference, proportion
from diagnose.context import Context
from diagnose.findings import Estimate, Evidence, Example, Finding, Kind, Outcome, Side
from diagnose.verdict import judge
from zoo.neighbours import IntArray


@DATA_CHECKS.register("label-names")
@dataclass(frozen=True, kw_only=True)
class LabelNames(Check[Context]):
    """One class under two names (``cat``, ``Cat ``), or a name that only the held-out part knows.

    What it does: compares the class names without case, spaces, accents and punctuation, then with one letter changed.
    Suspect pairs are merged and the accuracy measured again. Lists classes that have held-out pictures but none to learn.

    Why it is bad: half of the pictures of such a class are wrong whatever the model says; a class that was never learnt is
    never recognised.

    Known problems: true classes may differ in one letter (``bat``, ``cat``; ``shirt``, ``t-shirt``): these are only
    reported where the images do not tell them apart, by Fisher's exact test, and merging wins accuracy. Synonyms are not found here; see ``class-overlap``.

    Remedy: rename the class in the manifest or the folder.

    References: none needed.
    """

    name: ClassVar[str] = "label-names"
    side: ClassVar[Side] = Side.DATA
    causes: ClassVar[tuple[str, ...]] = ("label-names",)

    shortest: int = 4  # letters; shorter names may well differ in one
    level: float = 0.05  # of the test that classes one letter apart are told apart by the images

    def run(self, context: Context) -> list[Finding]:
        """Compare the names, merge the suspects, and look for classes without training pictures."""
        found = [*self._spellings(context), *self._unlearnt(context)]
        return found or [passed(self, f"The {context.num_classes} class names are distinct, and all are learnt.")]

    def _spellings(self, context: Context) -> list[Finding]:
        same, near = self.alike(context.dataset.classes)
        near = [pair for pair in near if not _told_apart(context, pair, self.level)]
        if not same and not near:
            return []
        points = _gain_from_merging(context, [*same, *near])
        costly = judge(points)
        if not same and costly is not Outcome.FAIL:
            return []
        pairs = ", ".join(f"{first!r} and {second!r}" for first, second in [*same, *near][:5])
        return [
            Finding(
                check=self.name,
                cause="label-names",
                side=self.side,
                outcome=costly,
                message=f"Some classes look like one under two names: {pairs}.",
                remedy="Give them one name in the manifest or the folder.",
                evidence=(
                    Evidence(
                        statistic="accuracy won by merging them",
                        value=points.value,
                        interval=points.interval,
                        unit="points",
                        kind=Kind.INTERVENTION,
                    ),
                ),
                points=points,
            )
        ]

    def _unlearnt(self, context: Context) -> list[Finding]:
        known = np.isin(np.arange(context.num_classes), context.labels[context.train])
        lost = ~known[context.labels[context.held_out]]
        if not context.splits_given or not lost.any():
            return []
        cost = proportion(int(lost.sum()), len(lost))
        names = [context.dataset.classes[label] for label in np.flatnonzero(~known)]
        positions = context.held_out[lost][:12]
        return [
            Finding(
                check=self.name,
                cause="label-names",
                side=self.side,
                outcome=judge(cost),
                message=f"{int(lost.sum())} held-out pictures are of classes that training never shows: {', '.join(names[:5])}.",
                remedy="Check the spelling of these classes, or add training pictures of them.",
                evidence=(
                    Evidence(
                        statistic="pictures of unknown classes", value=cost.value, unit="share", interval=cost.interval
                    ),
                ),
                examples=tuple(
                    Example(path=context.paths[i], note=context.dataset.classes[context.labels[i]]) for i in positions
                ),
                points=cost,
            )
        ]

    def alike(self, classes: tuple[str, ...]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Pairs of names that are equal but for their dress, and pairs one letter apart."""
        plain = {name: _plain(name) for name in classes}
        same, near = [], []
        for first, second in combinations(classes, 2):
            one, two = plain[first], plain[second]
            if one and one == two:
                same.append((first, second))
            elif min(len(one), len(two)) >= self.shortest and one.isalpha() and two.isalpha() and _one_apart(one, two):
                near.append((first, second))
        return same, near


def _plain(name: str) -> str:
    """The name in lower case, without accents, spaces and punctuation."""
    decomposed = unicodedata.normalize("NFKD", name).casefold()
    return "".join(letter for letter in decomposed if letter.isalnum())


def _one_apart(first: str, second: str) -> bool:
    """Whether one insertion, deletion, change or swap of neighbours turns one into the other."""
    if first == second or abs(len(first) - len(second)) > 1:
        return False
    start = next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    one, two = first[start:], second[start:]
    return one[1:] == two or one == two[1:] or one[1:] == two[1:] or (one[:2] == two[1::-1] and one[2:] == two[2:])


def _told_apart(context: Context, pair: tuple[str, str], level: float) -> bool:
    """Whether images of the two classes are given the label that they bear more often than by chance."""
    from scipy.stats import fisher_exact  # slow to import

    first, second = (context.dataset.classes.index(name) for name in pair)
    predicted, labels = context.predicted(context.best), context.labels
    among = np.isin(labels, [first, second]) & np.isin(predicted, [first, second])
    agreed = np.histogram2d(labels[among] == second, predicted[among] == second, bins=2, range=[[0, 1], [0, 1]])[0]
    return bool(fisher_exact(agreed, alternative="greater").pvalue < level)


def _gain_from_merging(context: Context, pairs: list[tuple[str, str]]) -> Estimate:
    """Accuracy when the second of each pair is taken for the first, minus the accuracy as it is."""
    number = {name: label for label, name in enumerate(context.dataset.classes)}
    target: IntArray = np.arange(context.num_classes)
    for first, second in pairs:
        target[number[second]] = target[number[first]]
    merged = target[context.labels]
    before = context.trial() == context.labels[context.held_out]
    after = context.trial(labels=merged) == merged[context.held_out]
    return paired_difference(after, before)
