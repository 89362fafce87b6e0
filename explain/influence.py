"""Which training images made the decision: from features and residuals alone, no training and no second pass.

With a linear head the gradient of the cross-entropy of one image is ``(p - y) x h``. The dot product of two such
gradients is ``<h, h'> <p - y, p' - y'>``: TracIn for the last layer (Pruthi et al., NeurIPS 2020, arXiv:2002.08484)
without a backward pass. Positive: training on it lowered the other's loss.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


def residuals(probabilities: FloatArray, labels: IntArray) -> FloatArray:
    """``p - y``: gradient of each image's cross-entropy with respect to its logits, ``(n, classes)``."""
    found = probabilities.astype(np.float32).copy()
    found[np.arange(len(labels)), labels] -= 1
    return found


def influence(
    features: FloatArray, residual: FloatArray, train_features: FloatArray, train_residual: FloatArray
) -> FloatArray:
    """Dot products of last-layer gradients, weight and bias, ``(m, n)``.

    Args:
        features: Of the images in question, ``(m, d)``, as they enter the head.
        residual: Their ``p - y``, ``(m, classes)``.
        train_features: ``(n, d)``.
        train_residual: ``(n, classes)``.
    """
    return (features @ train_features.T + 1) * (residual @ train_residual.T)


def self_influence(features: FloatArray, residual: FloatArray) -> FloatArray:
    """Squared norm of each image's own gradient, ``(n,)``: high for images the model had to learn by heart."""
    return np.asarray((np.square(features).sum(1) + 1) * np.square(residual).sum(1))


def neighbours(features: FloatArray, others: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """The ``k`` most similar of ``others`` for each image, and their cosine similarities, both ``(m, k)``."""
    first, second = (f / np.maximum(np.linalg.norm(f, axis=1, keepdims=True), 1e-12) for f in (features, others))
    similarity = first @ second.T
    k = min(k, similarity.shape[1])
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(similarity, order, axis=1)


def most_influential(scores: FloatArray, k: int) -> IntArray:
    """Positions of the ``k`` training images that speak most for each image, ``(m, k)``."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]
