"""Held-out error against the number of training pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diagnose.context import Context
from diagnose.findings import Estimate
from zoo.neighbours import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """Held-out error against the number of training pictures.

    Attributes:
        sizes: Training pictures, rising, ``(k,)``.
        errors: Held-out error, ``(seeds, k)``.
        held_out: Pictures that each error is measured on.
        spread: Standard error of the last fall from one set of held-out pictures to another, the seeds averaged.
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
        """The fall of the error from N to 2N, by the falls up to N; a fraction.

        A power law ``a + b N^-c`` makes the falls from doubling to doubling a geometric series, which is fitted to them.
        The interval covers the seeds and the held-out pictures.
        """
        doublings = np.log2(self.sizes[1:] / self.sizes[:-1])
        falls = -np.diff(self.errors, axis=1) / doublings
        fall, ratio = _geometric(falls.mean(axis=0))
        value = fall * ratio
        last = falls[:, -1]
        spread = float((last.var(ddof=1) / len(last) + (self.spread / doublings[-1]) ** 2) ** 0.5)
        return Estimate(value=value, interval=(value - 1.96 * ratio * spread - 0.002, value + 1.96 * spread))

    def needed(self, error: float) -> int | None:
        """Training pictures at which the error is reached if the falls go on as they did; ``None`` beyond 64 times."""
        reached, size = float(self.errors[:, -1].mean()), int(self.sizes[-1])
        fall, ratio = _geometric(-np.diff(self.errors.mean(axis=0)))
        for _ in range(7):
            if reached <= error:
                return size
            fall *= ratio
            reached, size = reached - fall, size * 2
        return None


def _geometric(falls: FloatArray) -> tuple[float, float]:
    """The falls as a geometric series, by least squares: the last fall and the ratio from one to the next, in [0, 1].

    One fall alone tells no ratio: an error that falls with the root of the number of pictures is assumed.
    """
    if len(falls) == 1:
        return float(falls[0]), 2**-0.5
    place = np.arange(len(falls)) - len(falls) + 1
    best, chosen = np.inf, (float(falls[-1]), 1.0)
    for ratio in np.linspace(0.1, 1, 19):
        shape = ratio**place
        last = float(falls @ shape / (shape @ shape))
        error = float(((falls - last * shape) ** 2).sum())
        if error < best:
            best, chosen = error, (last, float(ratio))
    return chosen


def learning_curve(context: Context, *, steps: int = 4, seeds: int = 5) -> LearningCurve:
    """Errors on nested subsets of the training pictures: all of them, a half, a quarter, ...

    The subsets are drawn within the classes, so that none dies out; they are trained on with the best backbone's
    closed-form probe.
    """
    return context.keep(("learning-curve", str(steps), str(seeds)), lambda: _measure(context, steps, seeds))


def _measure(context: Context, steps: int, seeds: int) -> LearningCurve:
    truth, labels = context.labels[context.held_out], context.labels
    wrong = np.zeros((seeds, steps, len(truth)), dtype=bool)
    kept = np.zeros(steps)
    train, rank = context.train, np.zeros(len(labels), dtype=np.int64)
    learnt = len(train) if context.splits_given else len(train) * 4 // 5
    size = np.bincount(labels[train], minlength=context.num_classes)[labels]
    for seed in range(seeds):
        rank[train] = _rank_within_class(labels[train], np.random.default_rng(context.seed + seed))
        for step in range(steps):
            keep = rank < np.maximum(1, np.ceil(size / 2 ** (steps - 1 - step)))
            kept[step] += np.count_nonzero(keep[train])
            wrong[seed, step] = context.trial(keep=keep) != truth
    sizes = np.round(kept / seeds * learnt / len(train)).astype(np.int64)
    fallen = (wrong[:, -2].astype(np.float32) - wrong[:, -1]).mean(axis=0)
    spread = float(fallen.std(ddof=1)) / len(truth) ** 0.5
    errors = wrong.mean(axis=2, dtype=np.float32)
    return LearningCurve(sizes=sizes, errors=errors, held_out=len(truth), spread=spread)


def _rank_within_class(labels: IntArray, rng: np.random.Generator) -> IntArray:
    """A random rank of each picture within its class, ``(n,)``, from 0."""
    order = np.lexsort((rng.random(len(labels)), labels))
    sorted_labels = labels[order]
    start = np.searchsorted(sorted_labels, sorted_labels)
    rank = np.empty(len(labels), dtype=np.int64)
    rank[order] = np.arange(len(labels)) - start
    return rank
