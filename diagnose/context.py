"""What every data check works on: the data, its features, and the computations that several checks share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from diagnose import linear
from diagnose.predictions import OwnPredictions
from diagnose.retouching import Pictures
from zoo.data import Dataset, folds
from zoo.duplicates import duplicate_groups, merge
from zoo.neighbours import FloatArray, IntArray, Neighbours, nearest, reduce
from zoo.progress import ProgressCallback, silent

Statistics = npt.NDArray[np.void]
T = TypeVar("T")

FOLDS = 5
_MOST_LEARNT = 20_000
#: Name of the features of all backbones side by side.
TOGETHER = "all backbones together"


@dataclass(frozen=True, kw_only=True)
class Context:
    """The data under diagnosis. Cheap to make; what it offers is computed when first asked for, and kept.

    Attributes:
        dataset: Labelled images that could be read; those that could not be are in ``dataset.skipped``.
        statistics: Records of ``zoo.statistics.STATISTICS``, ``(n,)``, in the order of the samples.
        embeddings: Features by name of the backbone, each ``(n, d)`` of any float type.
        predictions: What the person's own model says, aligned with the samples.
        target: The accuracy asked for, a fraction.
        got: The accuracy the person's algorithm reaches, a fraction.
        seed: Seed of everything random.
        progress: Told how far it is.
        pictures: The pictures themselves; without them no experiment that changes them is made.
    """

    dataset: Dataset
    statistics: Statistics
    embeddings: Mapping[str, npt.NDArray[np.floating]]
    predictions: OwnPredictions | None = None
    target: float | None = None
    got: float | None = None
    seed: int = 0
    progress: ProgressCallback = silent
    pictures: Pictures | None = None
    _kept: dict[tuple[str, ...], Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        n = len(self.dataset)
        if len(self.statistics) != n or any(len(matrix) != n for matrix in self.embeddings.values()):
            raise ValueError(f"Statistics and features must have one row for each of the {n} samples.")

    @cached_property
    def labels(self) -> IntArray:
        """Class numbers, ``(n,)``."""
        return self.dataset.labels

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.dataset.classes)

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The samples' paths, in order."""
        return tuple(sample.path for sample in self.dataset.samples)

    @cached_property
    def duplicates(self) -> IntArray:
        """Group number of each image, ``(n,)``; copies of one picture share theirs."""
        return duplicate_groups(self.statistics, self.reduced(next(iter(self.embeddings))))

    @cached_property
    def groups(self) -> IntArray:
        """Group number of each image, ``(n,)``: what must not straddle a split, by copies and by given groups."""
        given: dict[str | int, list[int]] = {}
        for position, sample in enumerate(self.dataset.samples):
            given.setdefault(sample.group if sample.group is not None else position, []).append(position)
        pairs = [(members[0], other) for members in given.values() for other in members[1:]]
        return merge(self.duplicates, np.array(pairs, dtype=np.int64).reshape(-1, 2))

    @cached_property
    def folds(self) -> IntArray:
        """Fold number of each image, ``(n,)``: stratified by class, a group never straddles two folds."""
        return folds(self.labels, self.groups, FOLDS, self.seed)

    @cached_property
    def held_out(self) -> IntArray:
        """Positions of the images that a model should be judged on: val and test where given, else all of them."""
        if not self.dataset.given_splits:
            return np.arange(len(self.dataset))
        chosen = np.concatenate([self.dataset.indices("val"), self.dataset.indices("test")])
        return np.sort(chosen) if len(chosen) else np.arange(len(self.dataset))

    @cached_property
    def is_held_out(self) -> npt.NDArray[np.bool_]:
        """Which images are among the held-out ones, ``(n,)``."""
        found: npt.NDArray[np.bool_] = np.isin(np.arange(len(self.dataset)), self.held_out)
        return found

    @cached_property
    def train(self) -> IntArray:
        """Positions of the images that a model may learn from: train where given, else all of them."""
        if not self.dataset.given_splits or not len(self.dataset.indices("train")):
            return np.arange(len(self.dataset))
        return self.dataset.indices("train")

    @property
    def splits_given(self) -> bool:
        """Whether the data came with images to learn from and others to be judged on."""
        return self.dataset.given_splits and len(self.train) + len(self.held_out) == len(self.dataset)

    @cached_property
    def backbones(self) -> tuple[str, ...]:
        """Names of the backbones, the one whose features separate the classes best first.

        Judged by cross-validation on the training images, so that the choice does not flatter the held-out accuracy.
        """
        return tuple(sorted(self.embeddings, key=lambda name: -float(self.correct(name)[self.train].mean())))

    @cached_property
    def best(self) -> str:
        """What experiments are made on: all backbones together where that is better than the best alone, chosen likewise."""
        alone = self.backbones[0]
        if len(self.backbones) == 1:
            return alone
        together = self.correct(TOGETHER)[self.train].mean() > self.correct(alone)[self.train].mean()
        return TOGETHER if together else alone

    def reduced(self, backbone: str) -> FloatArray:
        """The leading principal components of a backbone's features, or of all ``TOGETHER``, ``(n, 256)`` float32."""

        def compute() -> FloatArray:
            if backbone == TOGETHER:
                return reduce(_side_by_side([self.reduced(name) for name in self.embeddings]), seed=self.seed)
            return reduce(self.embeddings[backbone], seed=self.seed)

        return self.keep(("reduced", backbone), compute)

    def predicted(self, backbone: str) -> IntArray:
        """The class that a closed-form probe gives each image without having seen it, ``(n,)``.

        Where splits were given, held-out images are predicted from the training images, and those from each other by
        folds; otherwise every image is predicted from the other folds.
        """

        def compute() -> IntArray:
            x, out = self.reduced(backbone), np.zeros(len(self.dataset), dtype=np.int64)
            train = self.train
            out[train] = linear.cross_predict(x[train], self.labels[train], self.folds[train], self.num_classes)
            if self.splits_given:
                out[self.held_out] = self.fit_predict(train, self.held_out, backbone=backbone)
            return out

        return self.keep(("predicted", backbone), compute)

    def correct(self, backbone: str) -> npt.NDArray[np.bool_]:
        """Where ``predicted`` agrees with the given label, ``(n,)``."""
        agreed: npt.NDArray[np.bool_] = self.predicted(backbone) == self.labels
        return agreed

    def trial(
        self,
        *,
        keep: npt.NDArray[np.bool_] | None = None,
        labels: IntArray | None = None,
        folds: IntArray | None = None,
    ) -> IntArray:
        """An experiment: predict the held-out images again, having changed what is learnt from.

        Args:
            keep: Which images may be learnt from, ``(n,)``; all unless given. Held-out images are predicted all the same.
            labels: Labels to learn from instead of the given ones, ``(n,)``.
            folds: Fold numbers instead of the usual ones, ``(n,)``; used where no splits were given.

        Returns:
            Predicted classes of the images at ``held_out``, by the best backbone, ``(m,)``.
        """
        kept = np.ones(len(self.dataset), dtype=bool) if keep is None else keep
        if self.splits_given:
            return self.fit_predict(self.train[kept[self.train]], self.held_out, labels=labels)
        fold = self.folds if folds is None else folds
        out = np.zeros(len(self.dataset), dtype=np.int64)
        for number in np.unique(fold):
            test = np.flatnonzero(fold == number)
            out[test] = self.fit_predict(np.flatnonzero((fold != number) & kept), test, labels=labels)
        return out[self.held_out]

    def fit_predict(
        self, train: IntArray, test: IntArray, *, backbone: str | None = None, labels: IntArray | None = None
    ) -> IntArray:
        """An experiment: fit the closed-form probe on some images and predict others.

        Args:
            train: Positions to learn from, ``(m,)``.
            test: Positions to predict, ``(t,)``.
            backbone: Whose features; the best ones unless named.
            labels: Labels of all images instead of the given ones, ``(n,)``.

        Returns:
            Predicted classes, ``(t,)``.
        """
        given = self.labels if labels is None else labels
        if not len(train):
            return np.zeros(len(test), dtype=np.int64)
        x = self.reduced(backbone or self.best)
        return linear.predict(x[train], given[train], x[test], self.num_classes)

    def predict_pictures(self, changed: Sequence[Image.Image], train: IntArray) -> IntArray:
        """What the best backbone alone makes of pictures that are not in the data, ``(len(changed),)``.

        Args:
            changed: The pictures.
            train: Positions to learn from; at most 20,000 of them are.

        Raises:
            ValueError: The context has no pictures to look with.
        """
        if self.pictures is None:
            raise ValueError("This context cannot embed pictures.")
        name = self.backbones[0]
        rows = np.sort(np.random.default_rng(self.seed).permutation(train)[:_MOST_LEARNT])
        seen = np.asarray(self.pictures.embed(changed)[name], dtype=np.float32)
        x = reduce(np.concatenate([np.asarray(self.embeddings[name][rows], dtype=np.float32), seen]), seed=self.seed)
        return linear.predict(x[: len(rows)], self.labels[rows], x[len(rows) :], self.num_classes)

    def out_of_fold(self, backbone: str) -> FloatArray:
        """Class probabilities by a logistic probe that never saw the image's fold, ``(n, C)``."""

        def compute() -> FloatArray:
            from zoo.probe import probe  # 1 s of torch that a list of the checks need not pay

            return probe(self.embeddings[backbone], self.labels, self.num_classes, folds=self.folds).out_of_fold

        return self.keep(("out-of-fold", backbone), compute)

    def neighbours(self, backbone: str, k: int) -> Neighbours:
        """The k nearest other images by cosine distance; approximate above 20,000 images, never an N x N matrix."""
        return self.keep(("neighbours", backbone, str(k)), lambda: nearest(self.reduced(backbone), k))

    def only(self, keep: IntArray) -> Context:
        """The same diagnosis of some of the images, nothing computed yet."""
        return replace(
            self,
            dataset=self.dataset.select(keep),
            statistics=self.statistics[keep],
            embeddings={name: matrix[keep] for name, matrix in self.embeddings.items()},
            predictions=None if self.predictions is None else self.predictions.select(keep),
            _kept={},
        )

    def found(self, key: tuple[str, ...]) -> object:
        """What was kept under this key; ``None`` where nothing was."""
        return self._kept.get(key)

    def keep(self, key: tuple[str, ...], compute: Callable[[], T]) -> T:
        """What was computed under this key; computed now, once, where it has not been yet."""
        if key not in self._kept:
            self._kept[key] = compute()
        found: T = self._kept[key]
        return found


def _side_by_side(matrices: list[FloatArray]) -> FloatArray:
    """Centred features of several backbones beside each other, each with the same mean squared norm, ``(n, sum of d)``."""
    scaled = [matrix / max(float(np.sqrt((matrix**2).sum(axis=1).mean())), 1e-12) for matrix in matrices]
    return np.concatenate(scaled, axis=1).astype(np.float32)
