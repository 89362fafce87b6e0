"""Accuracies and their differences, with 95 % intervals."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from diagnose.findings import Estimate

BoolArray = npt.NDArray[np.bool_]
_Z = 1.959964


def accuracy(correct: BoolArray) -> Estimate:
    """The share that is right, ``(n,)``, with Wilson's interval (Wilson 1927); (0, 1) where there is nothing to count."""
    return proportion(int(np.count_nonzero(correct)), len(correct))


def proportion(successes: int, n: int) -> Estimate:
    """``successes / n`` with Wilson's interval."""
    if n == 0:
        return Estimate(value=math.nan, interval=(0.0, 1.0))
    share = successes / n
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return Estimate(value=share, interval=(min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))))


def paired_difference(after: BoolArray, before: BoolArray, *, groups: npt.NDArray[np.int64] | None = None) -> Estimate:
    """Accuracy after minus before, on the same images, over repeats.

    The interval adds the variance between images (of the mean over repeats) and the variance between repeats. For one repeat
    it is the interval of Agresti and Min (2005, doi:10.1002/sim.1781): half an image is added to each cell of the table.

    Args:
        after: ``(n,)``, or ``(repeats, n)``.
        before: Likewise.
        groups: Which images stand or fall together, ``(n,)``: the variance between images is then at least that of the
            sums by group (Liang and Zeger 1986, doi:10.1093/biomet/73.1.13).
    """
    differences = np.atleast_2d(after).astype(np.float64) - np.atleast_2d(before)
    repeats, n = differences.shape
    if n == 0:
        return Estimate(value=math.nan, interval=(-1.0, 1.0))
    per_image = differences.mean(axis=0)
    value = float(per_image.mean())
    spread = ((per_image**2).sum() + 1) / (n + 2) - (value * n / (n + 2)) ** 2
    within = max(float(spread), 0.0) / (n + 2)
    if groups is not None:
        sums = np.bincount(np.unique(groups, return_inverse=True)[1], weights=per_image - value)
        within = max(within, float((sums**2).sum()) / n**2 * len(sums) / max(len(sums) - 1, 1))
    between = float(differences.mean(axis=1).var(ddof=1)) / repeats if repeats > 1 else 0.0
    half = _Z * math.sqrt(within + between)
    return Estimate(value=value, interval=(max(-1.0, value - half), min(1.0, value + half)))


def mean_difference(values: npt.NDArray[np.floating], weight: float = 1.0) -> Estimate:
    """``weight`` times the mean of some values, ``(n,)``, with its normal interval; a wide one under two values."""
    if len(values) < 2:
        return Estimate(value=weight * float(values.mean()) if len(values) else 0.0, interval=(-1.0, 1.0))
    value = float(values.mean())
    half = _Z * (float(values.std(ddof=1)) + 1 / len(values)) / math.sqrt(len(values))
    return Estimate(value=weight * value, interval=(weight * (value - half), weight * (value + half)))


def matched_cost(
    correct: BoolArray, labels: npt.NDArray[np.int64], suspect: BoolArray, *, weight: float | None = None
) -> Estimate:
    """Accuracy that suspect images cost: they against the other images of their classes.

    Args:
        correct: Whether each image was predicted right without having been seen, ``(n,)``.
        labels: Class numbers, ``(n,)``.
        suspect: Which images are under suspicion, ``(n,)``.
        weight: What the difference is multiplied with; the suspects' share unless given.
    """
    num_classes = int(labels.max(initial=-1)) + 1
    rest = ~suspect
    right = np.bincount(labels[rest], weights=correct[rest], minlength=num_classes)
    count = np.bincount(labels[rest], minlength=num_classes)
    overall = right.sum() / max(count.sum(), 1)
    usual = np.where(count > 0, right / np.maximum(count, 1), overall)
    share = float(suspect.mean()) if len(suspect) else 0.0
    return mean_difference(usual[labels[suspect]] - correct[suspect], share if weight is None else weight)


def permutation_p(observed: float, permuted: npt.NDArray[np.floating]) -> float:
    """Share of the permutations at least as extreme, counting the observed one (Phipson and Smyth 2010)."""
    return (1 + int(np.count_nonzero(permuted >= observed))) / (1 + len(permuted))
