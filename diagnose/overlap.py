"""Pairs of classes that cannot be told apart: both labels are borne by the same kind of image.

That is another thing than wrong labels. Where a shirt is labelled trousers somebody erred; where half the shirts are
labelled shirt and the other half blouse, nobody did.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diagnose.opinions import FloatArray, IntArray, Opinions

_FEWEST = 12  # images of a class, below which nothing is said
_PAIRS = 30  # of the most confused, how many are looked at
_SURE = 0.3


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two classes side by side.

    Attributes:
        classes: Their numbers.
        separation: Probability that an image of the second scores more for it, against the first, than an image of the
            first does (area under the ROC curve): 1 apart, 1/2 the same.
        error: Standard error of the separation for two classes that are the same.
        mistaken: Share of their images that bear the other one's label than the one that scores more.
        mistaken_when_sure: The same among the images where the scores differ most.
        images: How many bear one of the two labels.
    """

    classes: tuple[int, int]
    separation: float
    error: float
    mistaken: float
    mistaken_when_sure: float
    images: int

    @property
    def same(self) -> bool:
        """Whether the two are no better told apart than by chance."""
        return self.separation < 0.51 + 2 * self.error

    @property
    def gradual(self) -> bool:
        """Whether mistakes thin out with sureness. Wrong labels do not: they are as frequent on clear images."""
        return self.mistaken_when_sure < 0.6 * self.mistaken


def pairs(opinions: Opinions, labels: IntArray) -> list[Pair]:
    """The most confused pairs of classes, the worst separated first.

    Args:
        opinions: Out-of-fold opinions.
        labels: Given labels, ``(n,)``.
    """
    counts = np.bincount(labels, minlength=opinions.scores.shape[1])
    wrong = opinions.predicted != labels
    found = np.sort(np.stack([labels[wrong], opinions.predicted[wrong]], axis=1), axis=1)
    if not len(found):
        return []
    candidates, times = np.unique(found, axis=0, return_counts=True)
    enough = counts[candidates].min(axis=1) >= _FEWEST
    candidates, times = candidates[enough], times[enough]
    worst = np.argsort(-times / np.maximum(counts[candidates].min(axis=1), 1), kind="stable")[:_PAIRS]
    measured = [_measure(opinions.scores, labels, int(a), int(b)) for a, b in candidates[worst]]
    return sorted(measured, key=lambda pair: pair.separation)


def alike(found: list[Pair], num_classes: int) -> list[Pair]:
    """The pairs that are the same; none where merging them would leave less than half of the classes.

    Then it is not these classes that are alike: the labels as a whole say little.
    """
    same = [pair for pair in found if pair.same]
    left = len(np.unique(merged(np.arange(num_classes), same)))
    return same if 2 * left >= num_classes else []


def merged(labels: IntArray, same: list[Pair]) -> IntArray:
    """Labels in which classes that are the same bear one number, the smallest of theirs, ``(n,)``."""
    root = np.arange(int(labels.max(initial=0)) + 1)
    for pair in same:
        low, high = sorted((int(root[pair.classes[0]]), int(root[pair.classes[1]])))
        root[root == high] = low
    return np.asarray(root[labels], dtype=np.int64)


def _measure(scores: FloatArray, labels: IntArray, first: int, second: int) -> Pair:
    members = np.flatnonzero((labels == first) | (labels == second))
    lead = (scores[members, second] - scores[members, first]).astype(np.float64)
    is_second = labels[members] == second
    mistaken = (lead > 0) != is_second
    surest = np.argsort(-np.abs(lead), kind="stable")[: max(1, round(_SURE * len(members)))]
    a, b = int((~is_second).sum()), int(is_second.sum())
    return Pair(
        classes=(first, second),
        separation=_separation(lead, is_second),
        error=float(np.sqrt((a + b + 1) / (12 * a * b))),
        mistaken=float(mistaken.mean()),
        mistaken_when_sure=float(mistaken[surest].mean()),
        images=len(members),
    )


def _separation(values: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve by Mann and Whitney's ranks."""
    negative = np.sort(values[~positive])
    below = np.searchsorted(negative, values[positive]) + np.searchsorted(negative, values[positive], side="right")
    return float(below.mean()) / (2 * len(negative))
