"""Nearest neighbours among features: principal components first, then faiss; never an N x N matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.blas import leading_axes

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

RANK = 256
_CHUNK = 20_000  # rows: the components are fitted on so many, and searched exactly up to so many


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The nearest other images of each image.

    Attributes:
        index: Positions of the neighbours, nearest first, ``(n, k)``; -1 where there are fewer than k.
        distance: Cosine distances in [0, 2], ``(n, k)``; 2 where there is no neighbour.
    """

    index: IntArray
    distance: FloatArray


def reduce(features: npt.NDArray[np.floating], *, rank: int = RANK, seed: int = 0) -> FloatArray:
    """The leading principal components of features, centred: ``(n, d)`` of any float to ``(n, min(rank, d))``.

    No label is used, so that reducing before splitting tells a classifier nothing of the held-out labels. Components
    are fitted on at most 20,000 rows; memory beyond the result is bounded by a chunk of rows.
    """
    n, d = features.shape
    rows = np.arange(n) if n <= _CHUNK else np.sort(np.random.default_rng(seed).choice(n, _CHUNK, replace=False))
    sample = np.asarray(features[rows], dtype=np.float32)
    mean = sample.mean(axis=0) if n else np.zeros(d, dtype=np.float32)
    if d <= rank:
        axes = np.eye(d, dtype=np.float32)
    else:
        sample -= mean
        axes = leading_axes(sample.T @ sample, rank)
    reduced = np.empty((n, axes.shape[1]), dtype=np.float32)
    for start in range(0, n, _CHUNK):
        chunk = slice(start, start + _CHUNK)
        reduced[chunk] = (np.asarray(features[chunk], dtype=np.float32) - mean) @ axes
    return reduced


def nearest(features: FloatArray, k: int) -> Neighbours:
    """The k nearest other rows of each row by cosine distance.

    Exact up to 20,000 rows. Above, an inverted file (Sivic and Zisserman 2003) of 4 sqrt(n) cells, 16 of which are
    searched: the work grows as n sqrt(n), the memory as n.

    Args:
        features: ``(n, d)``.
        k: How many.
    """
    n = len(features)
    if n < 2:
        return Neighbours(index=np.full((n, k), -1), distance=np.full((n, k), 2, dtype=np.float32))
    unit = np.ascontiguousarray(features, dtype=np.float32)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    similarity, found = _index(unit).search(unit, min(k + 1, n))
    return _without_self(found, similarity, k)


def _index(unit: FloatArray) -> Any:
    """A faiss index of unit vectors ``(n, d)`` under the inner product."""
    n, d = unit.shape
    import faiss  # 0.2 s that a mistake in the arguments need not wait for

    flat = faiss.IndexFlatIP(d)
    if n <= _CHUNK:
        flat.add(unit)
        return flat
    cells = faiss.IndexIVFFlat(flat, d, int(4 * n**0.5), faiss.METRIC_INNER_PRODUCT)
    cells.cp.niter = 5
    cells.cp.max_points_per_centroid = 40
    cells.train(unit)
    cells.nprobe = 16
    cells.add(unit)
    return cells


def _without_self(found: IntArray, similarity: FloatArray, k: int) -> Neighbours:
    """Drop each row from its own list; where it is not in it (many equal rows), drop the farthest."""
    n, width = found.shape
    itself = found == np.arange(n)[:, None]
    itself[~itself.any(axis=1), -1] = True
    index = found[~itself].reshape(n, width - 1).astype(np.int64)
    distance = (1 - similarity[~itself]).reshape(n, width - 1).astype(np.float32)
    missing = ((0, 0), (0, k - index.shape[1]))
    index = np.pad(index, missing, constant_values=-1)
    distance = np.clip(np.pad(distance, missing, constant_values=2), 0, 2)
    distance[index < 0] = 2
    return Neighbours(index=index, distance=distance)
