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
    """

    sizes: IntArray
    errors: FloatArray
    held_out: int

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
        falls = -np.diff(self.errors, axis=1)
        fall, ratio = _geometric(falls.mean(axis=0))
        value = fall * ratio
        error = float(self.errors[:, -1].mean())
        changed = min(1.0, abs(fall) + 0.3 * error)  # pictures whose answer differs between two sizes
        last = falls[:, -1]
        spread = (float(last.var(ddof=1)) / len(last) + changed / max(self.held_out, 1)) ** 0.5
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
    """The falls as a geometric series, by least squares: the last fall and the ratio from one to the next, in [0, 1]."""
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
    errors = np.zeros((seeds, steps), dtype=np.float32)
    learnt = len(context.train) if context.splits_given else len(context.train) * 4 // 5
    for seed in range(seeds):
        rank = _rank_within_class(labels, np.random.default_rng(context.seed + seed))
        size = np.bincount(labels, minlength=context.num_classes)[labels]
        for step in range(steps):
            keep = rank < np.maximum(1, np.ceil(size / 2 ** (steps - 1 - step)))
            errors[seed, step] = float((context.trial(keep=keep) != truth).mean())
    sizes = np.array([round(learnt / 2 ** (steps - 1 - step)) for step in range(steps)], dtype=np.int64)
    return LearningCurve(sizes=sizes, errors=errors, held_out=len(truth))


def _rank_within_class(labels: IntArray, rng: np.random.Generator) -> IntArray:
    """A random rank of each picture within its class, ``(n,)``, from 0."""
    order = np.lexsort((rng.random(len(labels)), labels))
    sorted_labels = labels[order]
    start = np.searchsorted(sorted_labels, sorted_labels)
    rank = np.empty(len(labels), dtype=np.int64)
    rank[order] = np.arange(len(labels)) - start
    return rank
