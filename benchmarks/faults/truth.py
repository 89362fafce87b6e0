"""What a data fault truly costs: measured on fresh pictures, against the healthy twin, by a classifier of our own.

The classifier is scikit-learn's logistic regression on the features of one backbone. It shares no code with the probes of
a diagnosis but the features. Points mean different things for different causes, and so each has a truth of its own: see
:class:`Claims`.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from benchmarks.faults.worlds import IntArray, World
from zoo.catalog import card
from zoo.data import read
from zoo.features import embed

_BACKBONE = "efficientnet_lite0"
Matrix = npt.NDArray[np.floating]
Right = npt.NDArray[np.bool_]
#: A figure and its standard error.
Measured = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of a fault, as fractions of accuracy.

    Attributes:
        learning: Lost on fresh pictures by learning from the faulty set instead of its twin, and its standard error.
        measuring: By how much the accuracy on the validation pictures moved beyond that: the figure no longer means it.
        fresh: Accuracy on fresh pictures after learning from the faulty set.
    """

    learning: float
    error: float
    measuring: float
    fresh: float

    @property
    def points(self) -> float:
        """The larger of the two."""
        return max(self.learning, abs(self.measuring))


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What the points of a cause may claim, each with its truth.

    Attributes:
        lost: Accuracy on the validation pictures, under their labels, that the fault takes away.
        inflated: Accuracy on the validation pictures beyond what is had on fresh ones.
        balanced: Mean recall on fresh pictures that the fault takes away.
    """

    lost: Measured
    inflated: Measured
    balanced: Measured


def cost(twin: World, faulty: World) -> tuple[Cost, Claims]:
    """What the fault costs, and what points of it may claim."""
    fresh = _features(replace(twin, pictures=twin.fresh))
    twin_fresh, twin_val = _right(twin, fresh)
    faulty_fresh, faulty_val = _right(faulty, fresh)
    lost, seen = _difference(twin_fresh, faulty_fresh), _difference(twin_val, faulty_val)
    inflated = (lost[0] - seen[0], float(np.hypot(lost[1], seen[1])))
    true = Cost(learning=lost[0], error=lost[1], measuring=inflated[0], fresh=float(faulty_fresh.mean()))
    return true, Claims(lost=seen, inflated=inflated, balanced=_recall_lost(twin_fresh, faulty_fresh, fresh[1]))


def doubling(few: World, doubled: World) -> Measured:
    """Accuracy on fresh pictures that twice the training pictures win; ``doubled`` has the few among its own."""
    fresh = _features(replace(doubled, pictures=doubled.fresh))
    before, after = (_right(w, fresh)[0] for w in (few, doubled))
    return _difference(after, before)


def wrong_labels(world: World) -> tuple[float, float]:
    """The share of labels that say another class than the true one, at least and at most.

    Where a picture shows no class, whether its label is wrong is a matter of words: it counts only in the second.
    """
    true = np.array(world.true_classes)
    wrong = np.array([true[p.label] != p.truth for p in world.pictures])
    unseen = np.array([not p.shown for p in world.pictures])
    return float((wrong & ~unseen).mean()), float((wrong | unseen).mean())


def _difference(first: Right, second: Right) -> Measured:
    """Accuracy of the first over the second, paired where both are of the same pictures."""
    value = float(first.mean() - second.mean())
    if len(first) == len(second):
        return value, float((first.astype(float) - second).std() / len(first) ** 0.5)
    return value, float(np.hypot(*(right.std() / len(right) ** 0.5 for right in (first, second))))


def _recall_lost(before: Right, after: Right, truth: IntArray) -> Measured:
    """Mean recall before over that after, on the same pictures."""
    falls = [_difference(before[truth == label], after[truth == label]) for label in np.unique(truth)]
    values, errors = np.array(falls).T
    return float(values.mean()), float((errors**2).sum() ** 0.5 / len(falls))


def _features(world: World, *splits: str) -> tuple[Matrix, IntArray]:
    """Features and labels of the pictures that can be read, ``(n, d)`` and ``(n,)``."""
    with tempfile.TemporaryDirectory() as scratch:
        kept = [p for p in world.pictures if not splits or p.split in splits]
        dataset = read(replace(world, pictures=tuple(kept)).write(Path(scratch)), minimum_classes=1)
        found = embed(dataset, [card(_BACKBONE)])
        names = {name: number for number, name in enumerate(world.classes)}
        labels = np.array([names[found.dataset.classes[label]] for label in found.dataset.labels])
        return np.array(found.matrix(_BACKBONE), dtype=np.float64), labels


def _right(world: World, fresh: tuple[Matrix, IntArray]) -> tuple[Right, Right]:
    """Where a classifier fitted on the training pictures gives fresh ones their true class, and validation their label."""
    features, labels = _features(world, "train")
    # One scale for all features: each by its own, those that hardly vary among a few pictures would drown the others.
    mean, scale = features.mean(axis=0), float(features.std(axis=0).mean())
    model = LogisticRegression(C=0.01, max_iter=1000).fit((features - mean) / scale, labels)
    judged, given = _features(world, "val")
    of_fresh, of_judged = (model.predict((matrix - mean) / scale) for matrix in (fresh[0], judged))
    return np.array(world.true_classes)[of_fresh] == fresh[1], of_judged == given
