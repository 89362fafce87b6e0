"""Handwritten digits as two backbones would see them, and wrong labels planted in them."""

from functools import cache

import numpy as np
from sklearn.datasets import load_digits

CLASSES = 10


@cache
def digits():
    """Features of two 'backbones' (pixels, edges), labels, and folds of five."""
    data = load_digits()
    edges = np.concatenate(
        [np.abs(np.diff(data.images, axis=axis)).reshape(len(data.target), -1) for axis in (1, 2)], 1
    )
    folds = np.random.default_rng(0).permutation(len(data.target)) % 5
    return (data.data.astype(np.float32), edges.astype(np.float32)), data.target.astype(np.int64), folds


def planted(labels, rate, seed, targets=None):
    """A share ``rate`` of the labels replaced: by any other class, or by ``targets`` of the true class."""
    rng = np.random.default_rng(seed)
    given = labels.copy()
    rows = rng.choice(len(labels), round(rate * len(labels)), replace=False)
    blind = (labels[rows] + rng.integers(1, CLASSES, len(rows))) % CLASSES
    given[rows] = blind if targets is None else targets[labels[rows]]
    return given
