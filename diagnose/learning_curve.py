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

        A power law ``a + b N^-c`` makes each halving's fall a constant multiple of the one before. The multiple is estimated
        from the last falls and kept within [0, 1]; the interval covers the seeds and the held-out pictures.
        """
        falls = -np.diff(self.errors, axis=1)
        last, before = falls[:, -1], falls[:, -2]
        ratio = float(np.clip(last.mean() / before.mean(), 0, 1)) if before.mean() > 0 else 1.0
        value = float(last.mean()) * ratio
        error = float(self.errors[:, -1].mean())
        changed = min(1.0, abs(float(last.mean())) + 0.3 * error)  # pictures whose answer differs between two sizes
        spread = (float(last.var(ddof=1)) / len(last) + changed / max(self.held_out, 1)) ** 0.5
        return Estimate(value=value, interval=(value - 1.96 * ratio * spread - 0.002, value + 1.96 * spread))

    def needed(self, error: float) -> int | None:
        """Training pictures at which the error is reached if the falls go on as they did; ``None`` beyond 64 times."""
        falls = -np.diff(self.errors.mean(axis=0))
        ratio = float(np.clip(falls[-1] / falls[-2], 0, 1)) if falls[-2] > 0 else 1.0
        reached, fall, size = float(self.errors[:, -1].mean()), float(falls[-1]), int(self.sizes[-1])
        for _ in range(6):
            if reached <= error:
                return size
            fall *= ratio
            reached, size = reached - fall, size * 2
        return size if reached <= error else None


def learning_curve(context: Context, *, steps: int = 4, seeds: int = 3) -> LearningCurve:
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
