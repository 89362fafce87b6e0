"""Figures about predictions. Every function takes arrays and returns numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How good predictions are.

    Attributes:
        accuracy: Share that is right, 0 to 1.
        interval: 95 % Wilson interval of the accuracy.
        balanced_accuracy: Mean recall over the classes that occur.
        macro_f1: Mean F1 over the classes that occur.
        log_loss: Mean negative log-likelihood, nats.
        calibration_error: Expected calibration error over 15 equal-width bins (Guo et al. 2017, arXiv:1706.04599).
        count: Number of images.
    """

    accuracy: float
    interval: tuple[float, float]
    balanced_accuracy: float
    macro_f1: float
    log_loss: float
    calibration_error: float
    count: int


def wilson_interval(right: int, count: int, *, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    if count == 0:
        return 0.0, 1.0
    share = right / count
    centre = share + z * z / (2 * count)
    half = z * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5
    scale = 1 + z * z / count
    # Rounding must not leave the share itself outside, where it is 0 or 1.
    return max(0.0, min(share, (centre - half) / scale)), min(1.0, max(share, (centre + half) / scale))


def confusion_matrix(labels: IntArray, predicted: IntArray, num_classes: int) -> IntArray:
    """Counts, shape ``(num_classes, num_classes)``: rows are true classes, columns predicted ones."""
    flat = np.bincount(labels * num_classes + predicted, minlength=num_classes * num_classes)
    return flat.reshape(num_classes, num_classes).astype(np.int64)


def per_class(confusion: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Precision, recall and F1, each of shape ``(num_classes,)``; 0 where undefined."""
    hits = np.diag(confusion).astype(np.float64)
    precision = _ratio(hits, confusion.sum(axis=0))
    recall = _ratio(hits, confusion.sum(axis=1))
    return precision, recall, _ratio(2 * precision * recall, precision + recall)


def calibration_bins(labels: IntArray, probabilities: FloatArray, bins: int = 15) -> FloatArray:
    """Reliability diagram, shape ``(bins, 3)``: mean confidence, accuracy and share of the images in each bin."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    which = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    count = np.bincount(which, minlength=bins)
    mean_confidence = _ratio(np.bincount(which, weights=confidence, minlength=bins), count)
    accuracy = _ratio(np.bincount(which, weights=right, minlength=bins), count)
    return np.stack([mean_confidence, accuracy, count / max(1, len(labels))], axis=1)


def scores(labels: IntArray, probabilities: FloatArray) -> Scores:
    """All figures at once.

    Args:
        labels: True classes, shape ``(n,)``, n >= 1.
        probabilities: Rows that sum to 1, shape ``(n, num_classes)``.
    """
    predicted = probabilities.argmax(axis=1)
    right = int((predicted == labels).sum())
    confusion = confusion_matrix(labels, predicted, probabilities.shape[1])
    _, recall, f1 = per_class(confusion)
    present = confusion.sum(axis=1) > 0
    bins = calibration_bins(labels, probabilities)
    likelihood = np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, 1)
    return Scores(
        accuracy=right / len(labels),
        interval=wilson_interval(right, len(labels)),
        balanced_accuracy=float(recall[present].mean()),
        macro_f1=float(f1[present].mean()),
        log_loss=float(-np.log(likelihood).mean()),
        calibration_error=float((bins[:, 2] * np.abs(bins[:, 0] - bins[:, 1])).sum()),
        count=len(labels),
    )


def _ratio(top: npt.NDArray[np.generic], bottom: npt.NDArray[np.generic]) -> FloatArray:
    numerator, denominator = np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64)
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
