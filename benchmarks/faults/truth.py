"""What a data fault truly costs: measured on fresh pictures, against the healthy twin, by a classifier of our own.

The classifier is scikit-learn's logistic regression on the features of one backbone. It shares no code with the probes of
a diagnosis but the features.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.faults.worlds import IntArray, World
from zoo.catalog import card
from zoo.data import read
from zoo.features import embed

_BACKBONE = "efficientnet_lite0"
Matrix = npt.NDArray[np.floating]


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


def cost(twin: World, faulty: World) -> Cost:
    """What the fault costs."""
    fresh = _features(replace(twin, pictures=twin.fresh))
    twin_fresh, twin_val = _right(twin, fresh)
    faulty_fresh, faulty_val = _right(faulty, fresh)
    lost = twin_fresh.astype(float) - faulty_fresh
    return Cost(
        learning=float(lost.mean()),
        error=float(lost.std() / len(lost) ** 0.5),
        measuring=float((faulty_val.mean() - twin_val.mean()) - (faulty_fresh.mean() - twin_fresh.mean())),
        fresh=float(faulty_fresh.mean()),
    )


def doubling(twin: World, doubled: World) -> float:
    """Accuracy on fresh pictures that twice the training pictures win; ``doubled`` has the twin's among its own."""
    fresh = _features(replace(doubled, pictures=doubled.fresh))
    few, many = (_right(w, fresh)[0].mean() for w in (twin, doubled))
    return float(many - few)


def wrong_labels(world: World) -> float:
    """The share of labels that say another class than the true one."""
    true = np.array(world.true_classes)
    return float(np.mean([true[p.label] != p.truth for p in world.pictures]))


def _features(world: World, *splits: str) -> tuple[Matrix, IntArray]:
    """Features and labels of the pictures that can be read, ``(n, d)`` and ``(n,)``."""
    with tempfile.TemporaryDirectory() as scratch:
        kept = [p for p in world.pictures if not splits or p.split in splits]
        dataset = read(replace(world, pictures=tuple(kept)).write(Path(scratch)), minimum_classes=1)
        found = embed(dataset, [card(_BACKBONE)])
        names = {name: number for number, name in enumerate(world.classes)}
        labels = np.array([names[found.dataset.classes[label]] for label in found.dataset.labels])
        return np.array(found.matrix(_BACKBONE), dtype=np.float64), labels


def _right(world: World, fresh: tuple[Matrix, IntArray]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Where a classifier fitted on the training pictures gives fresh ones their true class, and validation their label."""
    features, labels = _features(world, "train")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200)).fit(features, labels)
    judged, given = _features(world, "val")
    return np.array(world.true_classes)[model.predict(fresh[0])] == fresh[1], model.predict(judged) == given
