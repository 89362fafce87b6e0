"""Linear classifiers for a handful of images a class: shrinkage discriminant analysis, and ridge regression.

Both have a closed form in the span of the rows, so a thousand features and fifty images cost milliseconds. Their scores
are scaled by one temperature such that the cross-validated probabilities can be believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.integer]

#: Penalties tried for ridge regression, on standardised features.
PENALTIES: tuple[float, ...] = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
_ABSENT = -30.0  # score of a class without a training image: a probability of about 1e-13


@dataclass(frozen=True, kw_only=True)
class Linear:
    """An affine classifier ``x @ weight + bias`` and how it came about.

    Attributes:
        method: What was fitted.
        strength: The penalty of ridge regression; the shrinkage, in [0, 1], of LDA.
        weight: ``(d, C)``.
        bias: ``(C,)``.
    """

    method: Literal["lda", "ridge"]
    strength: float
    weight: Float64Array
    bias: Float64Array


def fits(x: Float64Array, y: IntArray, num_classes: int, weights: FloatArray) -> Iterator[Linear]:
    """Every candidate fitted to the same rows: LDA first, then ridge regression from weak to strong.

    Args:
        x: Standardised features, ``(n, d)``.
        y: Class of each row, ``(n,)``.
        num_classes: C. An absent class gets a score that never wins.
        weights: Weight of each row, ``(n,)``.
    """
    yield lda(x, y, num_classes, weights)
    yield from ridge(x, y, num_classes, weights)


def lda(x: Float64Array, y: IntArray, num_classes: int, weights: FloatArray) -> Linear:
    """Linear discriminant analysis with the pooled covariance shrunk by Ledoit and Wolf's rule.

    Source: Ledoit & Wolf 2004, doi:10.1016/S0047-259X(03)00096-4.
    """
    n, d = x.shape
    member = (y[:, None] == np.arange(num_classes)) * weights[:, None]
    total = member.sum(axis=0)
    present = total > 0
    means = member.T @ x / np.where(present, total, 1)[:, None]
    residual = x - means[y]
    values, vectors = _scatter(residual)
    spread = values.sum() / (n * d)
    shrinkage = _ledoit_wolf(residual, values)
    floor = max(shrinkage * spread, 1e-12)
    inside = means @ vectors
    solved = means / floor + (inside * (1 / ((1 - shrinkage) * values / n + floor) - 1 / floor)) @ vectors.T
    prior = np.log(np.where(present, total, 1) / total.sum())
    bias = np.where(present, prior - (solved * means).sum(axis=1) / 2, _ABSENT)
    return Linear(method="lda", strength=shrinkage, weight=(solved * present[:, None]).T, bias=bias)


def ridge(x: Float64Array, y: IntArray, num_classes: int, weights: FloatArray) -> Iterator[Linear]:
    """Least squares on targets of +1 and -1, one fit for each of ``PENALTIES``; the bias is free."""
    target = np.where(y[:, None] == np.arange(num_classes), 1.0, -1.0)
    centre, middle = np.average(x, axis=0, weights=weights), np.average(target, axis=0, weights=weights)
    root = np.sqrt(weights)[:, None]
    rows = (x - centre) * root
    values, vectors = _scatter(rows)
    moment = vectors.T @ (rows.T @ ((target - middle) * root))
    for penalty in PENALTIES:
        weight = vectors @ (moment / (values + penalty)[:, None])
        yield Linear(method="ridge", strength=penalty, weight=weight, bias=middle - centre @ weight)


def temperature(logits: Float64Array, y: IntArray, weights: FloatArray) -> float:
    """The factor on ``(n, C)`` scores that makes their probabilities fit the labels best (arXiv 1706.04599)."""
    factors = np.geomspace(1e-3, 1e3, 121)
    losses = [log_loss(logits * factor, y, weights) for factor in factors]
    return float(factors[int(np.argmin(losses))])


def log_loss(logits: FloatArray, y: IntArray, weights: FloatArray) -> float:
    """Weighted mean of ``-log p(y)`` of scores ``(n, C)``."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(y)), y]
    return float(np.average(losses, weights=weights))


def _scatter(rows: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Eigenvalues ``(r,)`` and eigenvectors ``(d, r)`` of ``rows.T @ rows``, without those that are zero."""
    n, d = rows.shape
    values, vectors = np.linalg.eigh(rows @ rows.T if n < d else rows.T @ rows)
    kept = values > 1e-10 * max(values[-1], 1e-300)
    values, vectors = values[kept], vectors[:, kept]
    return values, (rows.T @ vectors / np.sqrt(values) if n < d else vectors)


def _ledoit_wolf(centred: Float64Array, values: Float64Array) -> float:
    """The optimal share of the identity, in [0, 1], for centred rows ``(n, d)`` whose scatter has these eigenvalues."""
    n, d = centred.shape
    spread = values.sum() / (n * d)
    squared = np.square(values).sum() / n**2
    distance = squared / d - spread**2
    noise = (np.square(np.square(centred).sum(axis=1)).sum() / n - squared) / (d * n)
    return float(min(noise, distance) / distance) if distance > 0 else 1.0
