"""Held-out error against the number of training pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diagnose.context import Context
from diagnose.findings import Estimate
from zoo.neighbours import FloatArray, IntArray

#: What the curve of a context is kept under.
KEPT = ("learning-curve",)
_USUAL = 0.5  # power of the number of pictures by which errors of frozen features fall
_PULL = 0.5
_SEEDS, _FITS = (5, 20), 10_000  # draws of subsets, fewer the more pictures there are


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """Held-out error against the number of training pictures.

    Attributes:
        sizes: Training pictures, rising, ``(k,)``.
        errors: Held-out error, ``(seeds, k)``.
        held_out: Pictures that each error is measured on.
        spread: Standard error of the fall from a half to all, from one set of held-out pictures to another, the seeds averaged.
    """

    sizes: IntArray
    errors: FloatArray
    held_out: int
    spread: float

    @property
    def monotone(self) -> bool:
        """Whether the error falls from size to size, within what its own noise allows."""
        mean = self.errors.mean(axis=0)
        noise = 2 * (mean * (1 - mean) / max(self.held_out, 1)) ** 0.5
        return bool(np.all(np.diff(mean) <= noise[1:]))

    def gain_from_doubling(self) -> Estimate:
        """The fall of the error from N to 2N, by a power law through the errors up to N; a fraction.

        The interval covers what another draw of as many pictures would change, and the held-out pictures.
        """
        reached, steepness = self._power_law()
        value = float(self.errors[:, -1].mean()) - reached * 2**-steepness
        half = 1.96 * float(np.hypot(self.errors[:, -2].std(ddof=1), self.spread))
        return Estimate(value=value, interval=(value - half, value + half))

    def needed(self, error: float) -> int | None:
        """Training pictures at which the power law reaches the error; ``None`` beyond 64 times as many."""
        reached, steepness = self._power_law()
        times = (reached / max(error, 1e-9)) ** (1 / max(steepness, 1e-9)) if reached > error else 1.0
        return None if times > 64 else int(np.ceil(times * self.sizes[-1]))

    def _power_law(self) -> tuple[float, float]:
        """The error at N and c of ``error = reached (size / N)^-c``: least squares of the logarithms, c at least 0.

        Few sizes with a noisy error tell c badly: it is drawn towards ``_USUAL`` as by half a size one doubling away. The
        error of all N pictures is that of one draw, which the smaller draws hold against their own.
        """
        mean = np.maximum(self.errors.mean(axis=0), 0.5 / max(self.held_out, 1))
        design = np.stack([np.ones(len(mean)), np.log2(self.sizes / self.sizes[-1])], axis=1)
        moments = design.T @ design + np.diag([0.0, _PULL])
        reached, slope = np.linalg.solve(moments, design.T @ np.log2(mean) + np.array([0.0, -_PULL * _USUAL]))
        return float(2**reached), max(0.0, -float(slope))


def learning_curve(context: Context) -> LearningCurve:
    """Errors on nested subsets of the training pictures: all of them, three quarters, a half, a quarter.

    The subsets are drawn within the classes, so that none dies out, and anew for each seed: twenty times where there are few
    pictures, five times where there are many. They are trained on with the best backbone's closed-form probe. Where the
    largest class has fewer than four pictures there are fewer sizes.
    """
    return context.keep(KEPT, lambda: _measure(context))


def _measure(context: Context) -> LearningCurve:
    truth, labels, train = context.labels[context.held_out], context.labels, context.train
    size = np.bincount(labels[train], minlength=context.num_classes)
    shares = _shares(int(size.max()))
    seeds = int(np.clip(_FITS // len(train), *_SEEDS))
    wrong = np.zeros((seeds, len(shares), len(truth)), dtype=bool)
    wrong[:, -1] = context.trial() != truth
    kept, rank = np.full(len(shares), float(seeds * len(train))), np.zeros(len(labels), dtype=np.int64)
    kept[:-1] = 0
    for seed in range(seeds):
        rank[train] = _rank_within_class(labels[train], np.random.default_rng(context.seed + seed))
        for step, share in enumerate(shares[:-1]):
            keep = rank < np.maximum(1, np.ceil(size * share))[labels]
            kept[step] += np.count_nonzero(keep[train])
            wrong[seed, step] = context.trial(keep=keep) != truth
    learnt = 1.0 if context.splits_given else 0.8  # of the training pictures, by a fold
    fallen = (wrong[:, shares.index(0.5)].astype(np.float32) - wrong[:, -1]).mean(axis=0)
    return LearningCurve(
        sizes=np.round(kept / seeds * learnt).astype(np.int64),
        errors=wrong.mean(axis=2, dtype=np.float32),
        held_out=len(truth),
        spread=float(fallen.std(ddof=1)) / len(truth) ** 0.5,
    )


def _shares(largest: int) -> list[float]:
    """Shares of the training pictures that give the largest class unlike numbers of them, rising, with 1/2 and 1."""
    by_count = {int(np.ceil(share * largest)): share for share in (0.25, 0.5, 0.75, 1.0)}
    return list(by_count.values())


def _rank_within_class(labels: IntArray, rng: np.random.Generator) -> IntArray:
    """A random rank of each picture within its class, ``(n,)``, from 0."""
    order = np.lexsort((rng.random(len(labels)), labels))
    sorted_labels = labels[order]
    start = np.searchsorted(sorted_labels, sorted_labels)
    rank = np.empty(len(labels), dtype=np.int64)
    rank[order] = np.arange(len(labels)) - start
    return rank
