"""Data sets with labels taken as right, and six ways of planting wrong ones in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

from zoo.neighbours import reduce
from zoo.probe import out_of_fold

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BACKBONES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
BLIND = ("uniform", "pair", "confusable", "by class")
SIGHTED = ("sampled", "where it errs", "least margin")


@dataclass(frozen=True, kw_only=True)
class Images:
    """Features of one data set by backbone, reduced as the product reduces them, ``(n, 256)``, and labels."""

    name: str
    features: dict[str, FloatArray]
    labels: IntArray

    @property
    def num_classes(self) -> int:
        return int(self.labels.max()) + 1

    def part(self, rows: IntArray, name: str) -> Images:
        return Images(name=name, features={b: x[rows] for b, x in self.features.items()}, labels=self.labels[rows])


def folder(path: Path) -> Images:
    """A data set on disk, seen by the installed backbones; features come from the store where they are in it."""
    from diagnose.diagnosis import bundled_backbones
    from zoo.data import read
    from zoo.features import embed

    features = embed(read(str(path)), cards := bundled_backbones())
    matrices = {card.name: reduce(features.matrix(card.name)) for card in cards}
    return Images(name=path.name, features=matrices, labels=features.dataset.labels)


def digits() -> Images:
    """Handwritten digits as three weak backbones see them: pixels, edges, a random layer."""
    data = load_digits()
    x = data.data.astype(np.float32)
    edges = [np.abs(np.gradient(data.images, axis=axis)).reshape(len(x), -1) for axis in (1, 2)]
    layer = np.random.default_rng(0).normal(size=(64, 512)) / 8
    views = (x, np.concatenate(edges, axis=1), np.maximum((x - x.mean(axis=0)) @ layer, 0))
    features = {name: reduce(np.asarray(view, dtype=np.float32)) for name, view in zip(BACKBONES, views, strict=True)}
    return Images(name="digits", features=features, labels=data.target.astype(np.int64))


def folds(labels: IntArray, seed: int, k: int = 5) -> IntArray:
    """Stratified folds; no image here is taken for a copy of another."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        fold[rows] = (np.arange(len(rows)) + rng.integers(k)) % k
    return fold


class Planter:
    """Plants wrong labels; what it sees of the images it sees through one backbone that no estimator is given."""

    def __init__(self, images: Images, backbone: str) -> None:
        self._labels = images.labels
        n, self._classes = len(images.labels), images.num_classes
        x = images.features[backbone]
        seen = out_of_fold(x, images.labels, self._classes, folds(images.labels, 99), strength=0.01)
        rows = np.arange(n)
        self._right = seen[rows, images.labels].copy()
        self._other = seen.copy()
        self._other[rows, images.labels] = 0

    def __call__(self, kind: str, rate: float, seed: int) -> IntArray:
        """The labels, a share ``rate`` of them wrong."""
        given, rng = (
            self._labels.copy(),
            np.random.default_rng([seed, (*BLIND, *SIGHTED).index(kind), round(1000 * rate)]),
        )
        count = round(rate * len(given))
        if not count:
            return given
        if kind in BLIND:
            rows = self._rows(kind, count, rng)
            given[rows] = self._blind(kind, rows, rng)
        else:
            rows = self._hard(kind, count, rng)
            given[rows] = self._sampled(rows, rng) if kind == "sampled" else self._other[rows].argmax(axis=1)
        return given

    def _rows(self, kind: str, count: int, rng: np.random.Generator) -> IntArray:
        n = len(self._labels)
        if kind != "by class":
            return rng.choice(n, count, replace=False)
        weight = rng.uniform(0.2, 1, self._classes)[self._labels]  # some classes are five times as noisy as others
        return rng.choice(n, count, replace=False, p=weight / weight.sum())

    def _blind(self, kind: str, rows: IntArray, rng: np.random.Generator) -> IntArray:
        true, c = self._labels[rows], self._classes
        if kind == "uniform":
            return (true + rng.integers(1, c, len(rows))) % c
        if kind == "pair":
            cycle = rng.permutation(c)
            following = np.empty(c, dtype=np.int64)
            following[cycle] = np.roll(cycle, 1)
            return following[true]
        if kind == "confusable":
            mass = np.stack([self._other[self._labels == k].sum(axis=0) for k in range(c)])
            return mass.argmax(axis=1)[true]
        shares = rng.dirichlet(np.full(c - 1, 0.5), c)
        return np.array([(t + 1 + rng.choice(c - 1, p=shares[t])) % c for t in true])

    def _hard(self, kind: str, count: int, rng: np.random.Generator) -> IntArray:
        margin = self._right - self._other.max(axis=1)
        if kind == "least margin":
            return np.argsort(margin)[:count]
        chance = np.log(1 - self._right + 0.01) + rng.gumbel(size=len(margin))
        if kind == "sampled":
            return np.argsort(-chance)[:count]
        return np.argsort(-(chance + 1e3 * (margin < 0)))[:count]  # its errors first, then by chance as above

    def _sampled(self, rows: IntArray, rng: np.random.Generator) -> IntArray:
        noisy = np.log(self._other[rows] + 1e-6) + rng.gumbel(size=(len(rows), self._classes))
        noisy[np.arange(len(rows)), self._labels[rows]] = -np.inf
        return noisy.argmax(axis=1)
