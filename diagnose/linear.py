"""A linear classifier in closed form: milliseconds a fit, so that an experiment can be repeated dozens of times.

Ridge regression onto class indicators, on features reduced to their leading principal components. With 256 of them it
is as accurate as logistic regression on all 1,280 in cross-validation, and one factorisation serves
any number of label vectors, which makes permutation tests almost free.

Source: Hastie, Tibshirani, Friedman, *The Elements of Statistical Learning*, sections 4.2 and 7.10 (generalised
cross-validation: Golub, Heath, Wahba, Technometrics 1979, doi:10.1080/00401706.1979.10489751).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zoo.blas import one_thread
from zoo.neighbours import FloatArray, IntArray

_STRENGTHS = np.array([1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 10.0])


def one_hot(labels: IntArray, num_classes: int) -> FloatArray:
    """Class indicators, ``(n,)`` to ``(n, num_classes)``."""
    return np.eye(num_classes, dtype=np.float32)[labels]


def ridge(train: FloatArray, targets: FloatArray, test: FloatArray) -> FloatArray:
    """Predicted targets of ``test`` by ridge regression; the strength is chosen by generalised cross-validation.

    Args:
        train: Features, ``(n, r)``.
        targets: What to predict, ``(n, t)``; several label vectors may lie side by side.
        test: Features, ``(m, r)``.

    Returns:
        ``(m, t)``.
    """
    mean, offset = train.mean(axis=0), targets.mean(axis=0)
    centred, wanted = train - mean, targets - offset
    with one_thread():
        values, axes = np.linalg.eigh(centred.T @ centred / max(len(train), 1))
    values = np.maximum(values, 0)
    moments = axes.T @ (centred.T @ wanted) / max(len(train), 1)
    shrinkage = _strength(values, moments, float((wanted**2).mean(axis=0).sum()), len(train))
    weights = axes @ (moments / (values + shrinkage + 1e-12)[:, None])
    predicted: FloatArray = (test - mean) @ weights.astype(np.float32) + offset
    return predicted


def _strength(values: npt.NDArray[np.floating], moments: npt.NDArray[np.floating], total: float, n: int) -> float:
    """The ridge penalty with the least generalised cross-validation error."""
    scale = max(float(values.mean()), 1e-12)
    power = (moments**2).sum(axis=1)
    best, chosen = np.inf, scale
    for strength in _STRENGTHS * scale:
        kept = 1 / (values + strength + 1e-12)
        residual = total - float((power * kept * (2 - values * kept)).sum())
        freedom = float((values * kept).sum()) + 1
        error = max(residual, 1e-12) / max(1 - freedom / max(n, 1), 1e-3) ** 2
        if error < best:
            best, chosen = error, float(strength)
    return chosen


def predict(train: FloatArray, labels: IntArray, test: FloatArray, num_classes: int) -> IntArray:
    """The predicted class of each row of ``test``, ``(m,)``."""
    scores = ridge(train, one_hot(labels, num_classes), test)
    return np.asarray(scores.argmax(axis=1), dtype=np.int64)


def cross_predict(features: FloatArray, labels: IntArray, folds: IntArray, num_classes: int) -> IntArray:
    """Out-of-fold predictions, ``(n,)``: each row is predicted by a classifier that never saw its fold."""
    predicted = np.zeros(len(labels), dtype=np.int64)
    for fold in np.unique(folds):
        held_out = folds == fold
        predicted[held_out] = predict(features[~held_out], labels[~held_out], features[held_out], num_classes)
    return predicted
