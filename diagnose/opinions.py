"""What several classifiers that never saw an image's own label think of it, for any labels, in milliseconds.

For every backbone there are two: ridge regression onto class indicators and a vote of the nearest neighbours. They err
in different ways, which is what tells a wrong label from a hard image. What depends on the features alone is prepared
once, so that the labels can be changed and the question asked again: noise planted, suspects dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_SHRINKAGE = 1e-3  # of the ridge, for features whose squared norm is 1 in the mean
_NEIGHBOURS = 15
_NEIGHBOUR_WEIGHT = 0.5  # of the vote, beside 1 for the regression
_REFERENCES = 10_000  # images among which neighbours are sought, so that the cost is linear in the number of images
_CHUNK = 2_000


@dataclass(frozen=True, kw_only=True)
class Opinions:
    """Out-of-fold scores of every class for every image.

    Attributes:
        linear: By ridge regression, one matrix a backbone, ``(b, n, C)``; about 1 for the class and 0 for others.
        neighbours: Share of the neighbours that bear each label, ``(b, n, C)``, in [0, 1].
    """

    linear: FloatArray
    neighbours: FloatArray

    @cached_property
    def scores(self) -> FloatArray:
        """All classifiers together, ``(n, C)``: larger is more like the class. Not probabilities."""
        together: FloatArray = self.linear.mean(axis=0) + _NEIGHBOUR_WEIGHT * self.neighbours.mean(axis=0)
        return together

    @cached_property
    def predicted(self) -> IntArray:
        """The class with the largest score, ``(n,)``."""
        return np.asarray(self.scores.argmax(axis=1), dtype=np.int64)

    @cached_property
    def quarrels(self) -> FloatArray:
        """Share of the pairs of classifiers that predict different classes for each image, ``(n,)``, in [0, 1].

        Between backbones where there are several, else between regression and neighbours. It uses no label of the image
        itself, so that wrong labels hardly move it; on clean data the classifiers together err at most about as often.
        """
        votes = [scores.argmax(axis=1) for scores in self.linear]
        if len(votes) == 1:
            votes.append(self.neighbours[0].argmax(axis=1))
        shares: FloatArray = np.mean([a != b for a, b in combinations(votes, 2)], axis=0, dtype=np.float32)
        return shares

    def of(self, rows: BoolArray | IntArray) -> Opinions:
        """The opinions of some of the images."""
        return Opinions(linear=self.linear[:, rows], neighbours=self.neighbours[:, rows])


class Judges:
    """Classifiers made ready on features and folds. Call them with labels.

    Args:
        features: One matrix a backbone, each ``(n, d)``; at most some hundred columns (leading principal components).
        folds: Fold number of each image, ``(n,)``; copies of an image share a fold. An image is judged by others only.
        seed: Chooses the images among which neighbours are sought where there are more than 10,000.
    """

    def __init__(self, features: Sequence[npt.NDArray[np.floating]], folds: IntArray, *, seed: int = 0) -> None:
        self._folds = folds
        self._features = [_scaled(matrix) for matrix in features]
        n = len(folds)
        rng = np.random.default_rng(seed)
        self._references = np.arange(n) if n <= _REFERENCES else np.sort(rng.choice(n, _REFERENCES, replace=False))
        self._nearest = [_nearest(matrix, folds, self._references) for matrix in self._features]
        everyone = np.ones(n, dtype=bool)
        self._inverses = [_inverses(matrix, folds, everyone) for matrix in self._features]

    def __call__(self, labels: IntArray, num_classes: int, *, learn_from: BoolArray | None = None) -> Opinions:
        """Opinions under these labels.

        Args:
            labels: Class numbers, ``(n,)``.
            num_classes: C.
            learn_from: Which images the classifiers may learn from, ``(n,)``; all of them unless given.
        """
        learn = np.ones(len(labels), dtype=bool) if learn_from is None else learn_from
        targets = np.eye(num_classes, dtype=np.float32)[labels]
        linear, votes = [], []
        for matrix, nearest, ready in zip(self._features, self._nearest, self._inverses, strict=True):
            inverses = ready if learn_from is None else _inverses(matrix, self._folds, learn)
            linear.append(_regress(matrix, targets, self._folds, learn, inverses))
            votes.append(_vote(targets, nearest, learn))
        return Opinions(linear=np.stack(linear), neighbours=np.stack(votes))

    def nearest_label(self, labels: IntArray, *, among: BoolArray | None = None) -> IntArray:
        """The label of each image's nearest neighbour in another fold, one row a backbone, ``(b, n)``.

        Args:
            labels: Class numbers, ``(n,)``.
            among: Which images may be neighbours, ``(n,)``; at least half of them. Where none of the 15 nearest may,
                the nearest is taken all the same.
        """
        rows = np.arange(len(labels))
        found = []
        for nearest in self._nearest:
            first = np.zeros(len(labels), dtype=np.int64) if among is None else among[nearest].argmax(axis=1)
            found.append(labels[nearest[rows, first]])
        return np.stack(found)


def _scaled(matrix: npt.NDArray[np.floating]) -> FloatArray:
    """Centred, the squared norm 1 in the mean."""
    x = np.asarray(matrix, dtype=np.float32)
    x = x - x.mean(axis=0)
    scaled: FloatArray = x / max(float(np.sqrt((x**2).sum(axis=1).mean())), 1e-12)
    return scaled


def _inverses(x: FloatArray, folds: IntArray, learn: BoolArray) -> dict[int, FloatArray]:
    """For each fold, the inverse of the regularised second moments of the images outside it."""
    whole = x[learn].T @ x[learn]
    inverses = {}
    for fold in np.unique(folds):
        inside = x[(folds == fold) & learn]
        count = max(int(learn.sum()) - len(inside), 1)
        moments = (whole - inside.T @ inside).astype(np.float64) + _SHRINKAGE * count * np.eye(x.shape[1])
        inverses[int(fold)] = np.linalg.inv(moments).astype(np.float32)
    return inverses


def _regress(
    x: FloatArray, targets: FloatArray, folds: IntArray, learn: BoolArray, inverses: dict[int, FloatArray]
) -> FloatArray:
    """Ridge regression of each fold on the images outside it."""
    share = targets[learn].mean(axis=0)
    weighted = np.where(learn[:, None], targets - share, np.float32(0))
    moments = x.T @ weighted
    scores = np.empty_like(targets)
    for fold, inverse in inverses.items():
        inside = folds == fold
        scores[inside] = x[inside] @ (inverse @ (moments - x[inside].T @ weighted[inside])) + share
    return scores


def _nearest(x: FloatArray, folds: IntArray, references: IntArray) -> IntArray:
    """The nearest reference images of other folds by cosine, ``(n, k)``, the nearest first."""
    import torch  # 1 s that a list of the checks need not pay

    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    pool, pool_folds = unit[references], folds[references]
    k = min(_NEIGHBOURS, len(references))
    found = np.empty((len(x), k), dtype=np.int64)
    for start in range(0, len(x), _CHUNK):
        rows = slice(start, start + _CHUNK)
        similarity = unit[rows] @ pool.T
        similarity[folds[rows, None] == pool_folds[None]] = -2.0
        nearest = torch.from_numpy(similarity).topk(k).indices  # several times as fast as argpartition
        found[rows] = references[nearest.numpy()]
    return found


def _vote(targets: FloatArray, nearest: IntArray, learn: BoolArray) -> FloatArray:
    """Share of each label among the neighbours that may be learnt from; the share in all the data where none may."""
    weighted = targets * learn[:, None]
    votes = np.zeros_like(targets)
    for column in nearest.T:
        votes += weighted[column]
    total = votes.sum(axis=1, keepdims=True)
    shares: FloatArray = np.where(total > 0, votes / np.maximum(total, 1), targets[learn].mean(axis=0))
    return shares
