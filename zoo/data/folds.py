"""Cross-validation folds, and when to use them in place of one validation split."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from zoo.data.dataset import Dataset, IntArray
from zoo.data.names import printable
from zoo.data.shuffle import keys_of_positions, units

#: A class with fewer images has too few for a validation split that measures anything.
FEWEST_FOR_SPLIT = 5
_FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class Validation:
    """How to measure accuracy.

    Attributes:
        folds: Number of cross-validation folds; 0 for the one validation split.
        reason: Why, one sentence for the person.
    """

    folds: int
    reason: str


def choose_validation(dataset: Dataset) -> Validation:
    """One validation split, or cross-validation where the smallest class has fewer than ``FEWEST_FOR_SPLIT`` images.

    A validation split that came with the data is used in any case. Images for testing do not count.
    """
    if dataset.given_splits and not dataset.made_validation and any(s.split == "val" for s in dataset.samples):
        return Validation(folds=0, reason="The data came with validation images.")
    counts = Counter(s.label for s in dataset.samples if s.split != "test" and s.label >= 0)
    if not counts:
        return Validation(folds=0, reason="There are no labelled images to train with.")
    label, fewest = min(counts.items(), key=lambda item: (item[1], item[0]))
    smallest = f"The smallest class, {printable(dataset.classes[label])!r}, has {fewest} image{'s' * (fewest != 1)}"
    if fewest >= FEWEST_FOR_SPLIT:
        return Validation(folds=0, reason=f"{smallest}: enough for a validation split.")
    return Validation(
        folds=_FOLDS, reason=f"{smallest}: too few for a validation split, so {_FOLDS}-fold cross-validation measures."
    )


def folds(labels: IntArray, groups: IntArray | None, k: int, seed: int) -> IntArray:
    """A fold number in ``0..k-1`` for each sample, shape ``(n,)``; each class and each fold evenly, no group divided.

    Large groups are dealt first, each to the fold where its classes are rarest; single images then fill the folds up
    to equal counts. A class of at least ``k`` groups that share no other class is in every fold. Time is linear in
    samples times ``k``, but for a sort; the result depends on nothing but the arguments.

    Args:
        labels: Class indices, shape ``(n,)``.
        groups: Group numbers, shape ``(n,)``; negative for a group of its own. ``None``: no groups.
        k: Number of folds, at least 2.
        seed: Any whole number.
    """
    if k < 2:
        raise ValueError(f"The k of folds must be at least 2. Got {k!r} instead.")
    if groups is not None and groups.shape != labels.shape:
        raise ValueError(f"The groups of folds must have shape {labels.shape}. Got {groups.shape} instead.")
    if not len(labels):
        return np.empty(0, dtype=np.int64)
    classes, label = np.unique(labels, return_inverse=True)
    unit = units(len(labels), *([] if groups is None else [groups]))
    size = np.bincount(unit)
    order = np.argsort(keys_of_positions(len(labels), seed=seed), kind="stable")
    table = np.zeros((len(classes), k), dtype=np.int64)
    fold = np.full(len(labels), -1, dtype=np.int64)
    large = order[size[unit[order]] > 1]
    fold[large] = _deal_groups(label[large], unit[large], table)
    _deal_singles(label, order[size[unit[order]] == 1], table, fold)
    return fold


def _deal_groups(label: IntArray, unit: IntArray, table: IntArray) -> IntArray:
    """A fold for each sample in a group; ``table`` (classes, folds) counts along."""
    counts: dict[int, dict[int, int]] = {}
    for u, c in zip(unit.tolist(), label.tolist(), strict=True):
        within = counts.setdefault(u, {})
        within[c] = within.get(c, 0) + 1
    total = np.bincount(label, minlength=len(table)).tolist()
    rows: list[list[int]] = table.tolist()
    filled = [0] * table.shape[1]
    chosen: dict[int, int] = {}
    # Largest first, as in packing; sorting is stable, so that equal ones stay in their random order.
    for u, within in sorted(counts.items(), key=lambda item: -sum(item[1].values())):
        best = min(
            range(len(filled)), key=lambda f: (sum(n * rows[c][f] / total[c] for c, n in within.items()), filled[f])
        )
        for c, n in within.items():
            rows[c][best] += n
        filled[best] += sum(within.values())
        chosen[u] = best
    table[:] = rows
    return np.fromiter((chosen[u] for u in unit.tolist()), dtype=np.int64, count=len(unit))


def _deal_singles(label: IntArray, order: IntArray, table: IntArray, fold: IntArray) -> None:
    """Single images, class by class in random order, fill each class's folds up to equal counts."""
    by_class = order[np.argsort(label[order], kind="stable")]
    bounds = np.searchsorted(label[by_class], np.arange(len(table) + 1))
    for c in range(len(table)):
        members = by_class[bounds[c] : bounds[c + 1]]
        share = _fill(table[c], len(members), table.sum(axis=0))
        fold[members] = np.repeat(np.arange(table.shape[1]), share)
        table[c] += share


def _fill(level: IntArray, amount: int, filled: IntArray) -> IntArray:
    """How much of ``amount`` to pour on each of ``level`` for the result to be as even as can be, shape ``(k,)``.

    What cannot be divided evenly goes to the folds with the fewest images, by ``filled``.
    """
    order = np.argsort(level, kind="stable")
    ranked = level[order]
    # Raising the lowest i folds to the height of fold i costs this much.
    cost = np.arange(len(level)) * ranked - np.concatenate(([0], np.cumsum(ranked)[:-1]))
    raised = int(np.searchsorted(cost, amount, side="right"))
    height, rest = divmod(amount + int(ranked[:raised].sum()), raised)
    share = np.maximum(height - level, 0)
    share[order[raised:]] = 0
    lowest = order[:raised]
    share[lowest[np.argsort(filled[lowest] + share[lowest], kind="stable")[:rest]]] += 1
    return share
