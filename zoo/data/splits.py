"""Train, validation and test: given ones are respected, others are made."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from zoo.data.dataset import Dataset, IntArray, Split
from zoo.data.names import printable
from zoo.data.shuffle import UIntArray, keys_of_names, mix, units
from zoo.errors import DataError

BoolArray = npt.NDArray[np.bool_]


def split(dataset: Dataset, *, seed: int, val_fraction: float = 0.2, groups: IntArray | None = None) -> Dataset:
    """The same data set with a split for every sample.

    Given splits are kept; where they name no validation images, these are taken from the training images. Otherwise
    ``val_fraction`` of each class goes to validation, in whole groups. Every class keeps a training image, and has a
    validation image where it has two groups. The choice depends on the seed and the samples' paths alone: not on their
    order, nor on the machine; a new image hardly moves the others.

    Args:
        dataset: Labelled samples; those with label -1 go to training.
        seed: Any whole number.
        val_fraction: Share of the images for validation, in (0, 1).
        groups: Number of each sample's group of near-duplicates, shape ``(n,)``; negative for a group of its own.
            Joined with the samples' own groups: what any of the two holds together stays together.

    Raises:
        DataError: There is no image to train with.
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f"The val_fraction of split must be between 0 and 1. Got {val_fraction!r} instead.")
    if groups is not None and groups.shape != (len(dataset),):
        raise ValueError(f"The groups of split must have shape ({len(dataset)},). Got {groups.shape} instead.")
    pool = np.flatnonzero([sample.split in (None, "train") for sample in dataset.samples])
    if not len(pool):
        raise DataError(
            f"{printable(dataset.name)} holds no training images: all of its images are for validation or test.",
            remedy="Add training images, or measure a trained model on it: zoo evaluate RUN DATA",
        )
    chosen = np.zeros(len(dataset), dtype=bool)
    making = not any(sample.split == "val" for sample in dataset.samples)
    if making:
        chosen[pool] = _choose(dataset.select(pool), seed, val_fraction, None if groups is None else groups[pool])
    samples = tuple(
        replace(sample, split=_assigned(sample.split, chosen=bool(chosen[i])))
        for i, sample in enumerate(dataset.samples)
    )
    done = replace(dataset, samples=samples, made_validation=making or dataset.made_validation)
    # Once only: a run that goes on splits what it has split before.
    return replace(done, warnings=tuple(dict.fromkeys((*dataset.warnings, *_unmeasured(done)))))


def _assigned(given: Split | None, *, chosen: bool) -> Split:
    return "val" if chosen else given or "train"


def _unmeasured(dataset: Dataset) -> list[str]:
    """A warning that names the classes without a validation image."""
    val = Counter(s.label for s in dataset.samples if s.split == "val")
    train = Counter(s.label for s in dataset.samples if s.split == "train")
    missing = [name for label, name in enumerate(dataset.classes) if train[label] and not val[label]]
    if not missing:
        return []
    names = ", ".join(repr(name) for name in missing[:5]) + (", ..." if len(missing) > 5 else "")
    return [f"No validation image for {names}: too few images, or all in one group. They are not measured by a split."]


@dataclass
class _Pool:
    """Images to divide, in units that stay together.

    Attributes:
        size: Images of each unit, shape ``(u,)``.
        label: Class of each unit of one class, shape ``(u,)``.
        mixed: Images by class, for the units of several classes.
        total: Images by class; so are ``quota``, the most for validation, and ``taken``.
        chosen: Which units go to validation, shape ``(u,)``.
    """

    size: IntArray
    label: IntArray
    mixed: dict[int, Counter[int]]
    total: Counter[int]
    quota: dict[int, int]
    taken: Counter[int]
    chosen: BoolArray

    def counts(self, unit: int) -> Counter[int]:
        """Images of a unit, by class."""
        return self.mixed.get(unit) or Counter({int(self.label[unit]): int(self.size[unit])})

    def fits(self, unit: int) -> bool:
        """Whether no class gets more than its quota."""
        return all(self.taken[c] + n <= self.quota[c] for c, n in self.counts(unit).items())

    def leaves_training(self, unit: int) -> bool:
        """Whether every class keeps a training image, and training the larger part."""
        enough = self.size[unit] <= self.size.sum() // 2
        return bool(enough) and all(self.taken[c] + n < self.total[c] for c, n in self.counts(unit).items())

    def take(self, unit: int) -> None:
        """Puts a unit into validation."""
        self.chosen[unit] = True
        self.taken.update(self.counts(unit))


def _choose(dataset: Dataset, seed: int, fraction: float, groups: IntArray | None) -> BoolArray:
    """Which samples go to validation, shape ``(n,)``."""
    unit = units(len(dataset), _group_numbers(dataset), *([] if groups is None else [groups]))
    keys = np.full(int(unit.max()) + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(keys, unit, keys_of_names((s.path for s in dataset.samples), seed=seed))
    keys = mix(keys)  # the least of many keys is small: large units would come first
    pool = _pool(dataset.labels, unit, fraction)
    _take_mixed(pool, keys, fraction)
    _take_pure(pool, keys)
    _rescue(pool, keys)
    return pool.chosen[unit]


def _group_numbers(dataset: Dataset) -> IntArray:
    numbers: dict[str, int] = {}
    return np.fromiter(
        (-1 if s.group is None else numbers.setdefault(s.group, len(numbers)) for s in dataset.samples),
        dtype=np.int64,
        count=len(dataset),
    )


def _pool(labels: IntArray, unit: IntArray, fraction: float) -> _Pool:
    size = np.bincount(unit)
    low = np.full(len(size), np.iinfo(np.int64).max)
    high = np.full(len(size), -2)
    np.minimum.at(low, unit, labels)
    np.maximum.at(high, unit, labels)
    mixed: dict[int, Counter[int]] = {}
    within = np.flatnonzero((low != high)[unit])
    for u, label in zip(unit[within].tolist(), labels[within].tolist(), strict=True):
        mixed.setdefault(u, Counter())[label] += 1
    total = Counter(labels.tolist())
    # At least one for validation, and one for training. Samples without a label are of no use for validation.
    quota = {c: max(min(max(round(fraction * n), 1), n - 1), 0) if c >= 0 else 0 for c, n in total.items()}
    chosen = np.zeros(len(size), dtype=bool)
    return _Pool(size=size, label=low, mixed=mixed, total=total, quota=quota, taken=Counter(), chosen=chosen)


def _take_mixed(pool: _Pool, keys: UIntArray, fraction: float) -> None:
    """Units of several classes, in random order, up to their own share: they must not crowd out the others."""
    share = round(fraction * sum(int(pool.size[u]) for u in pool.mixed))
    for unit in sorted(pool.mixed, key=lambda u: int(keys[u])):
        if pool.size[unit] <= share and pool.fits(unit):
            pool.take(unit)
            share -= int(pool.size[unit])


def _take_pure(pool: _Pool, keys: UIntArray) -> None:
    """Units of one class, in random order, until its quota is reached; one that would exceed it is passed over."""
    order = np.argsort(keys, kind="stable")
    pure = order[[u not in pool.mixed for u in order.tolist()]] if pool.mixed else order
    for unit, label, size in zip(pure.tolist(), pool.label[pure].tolist(), pool.size[pure].tolist(), strict=True):
        if pool.taken[label] + size <= pool.quota[label]:
            pool.chosen[unit] = True
            pool.taken[label] += size


def _rescue(pool: _Pool, keys: UIntArray) -> None:
    """A class whose groups are all larger than its quota gets the smallest of them, where training keeps one."""
    missing = {c for c, quota in pool.quota.items() if quota and not pool.taken[c]}
    if not missing:
        return
    candidates = [u for u in range(len(pool.size)) if not missing.isdisjoint(pool.counts(u))]
    for unit in sorted(candidates, key=lambda u: (int(pool.size[u]), int(keys[u]))):
        if any(c in missing and not pool.taken[c] for c in pool.counts(unit)) and pool.leaves_training(unit):
            pool.take(unit)
