"""Tools that look at data: the share of the pictures that have an issue, by kind of issue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.faults.run import BACKBONES
from zoo.catalog import card
from zoo.data import Dataset, read
from zoo.features import embed

Issues = dict[str, float]
IntArray = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.floating]
_SIDE = 64  # pixels of the pictures that DataEval is given as arrays


def datalab(folder: Path) -> Issues:
    """Cleanlab's Datalab with labels, our features and out-of-fold probabilities by logistic regression on them."""
    from cleanlab import Datalab
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    _, features, labels = _seen(folder)
    kept = np.isin(labels, np.flatnonzero(np.bincount(labels) >= 5))
    features, labels = features[kept], np.unique(labels[kept], return_inverse=True)[1]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))
    probabilities = cross_val_predict(model, features, labels, method="predict_proba")
    lab = Datalab({"labels": list(labels)}, label_name="labels", verbosity=0)
    lab.find_issues(features=features, pred_probs=probabilities)
    summary = lab.get_issue_summary()
    return {kind: float(n) / len(labels) for kind, n in zip(summary["issue_type"], summary["num_issues"], strict=True)}


def cleanvision(folder: Path) -> Issues:
    """CleanVision with its default issues."""
    from cleanvision import Imagelab

    lab = Imagelab(data_path=str(folder))
    lab.find_issues(n_jobs=1, verbose=False)
    summary, n = lab.issue_summary, max(1, len(lab.issues))
    return {kind: float(c) / n for kind, c in zip(summary["issue_type"], summary["num_images"], strict=True)}


def dataeval(folder: Path) -> Issues:
    """DataEval: label errors on our features, outliers and duplicates on pixels, label parity and drift of the parts."""
    from dataeval.core import label_errors, label_parity
    from dataeval.quality import Duplicates, Outliers
    from dataeval.shift import DriftMMD

    dataset, features, labels = _seen(folder)
    pictures = [_pixels(dataset, row) for row in range(len(dataset))]
    near = int(np.clip(np.bincount(labels).min() // 2, 5, 50))  # a class has no more neighbours than pictures
    copies = Duplicates().evaluate(pictures).data()
    found = {
        "label errors": len(label_errors(features, labels, k=near)["errors"]) / len(labels),
        "outliers": Outliers().evaluate(pictures).data()["item_index"].n_unique() / len(labels),
        "duplicates": len({row for group in copies["item_indices"] for row in group}) / len(labels),
    }
    learnt, judged = dataset.indices("train"), dataset.indices("val")
    parity = label_parity(labels[learnt], labels[judged], num_classes=len(dataset.classes))
    drift = DriftMMD().fit(features[learnt]).predict(features[judged])
    return {**found, "label parity": 1 - float(parity["p_value"]), "drift": 1 - float(drift.details["p_val"])}


def _seen(folder: Path) -> tuple[Dataset, Matrix, IntArray]:
    """The pictures that can be read, their features ``(n, d)`` and labels ``(n,)``."""
    found = embed(read(folder), [card(BACKBONES[0])])
    return found.dataset, np.array(found.matrix(BACKBONES[0]), dtype=np.float32), found.dataset.labels


def _pixels(dataset: Dataset, row: int) -> npt.NDArray[np.uint8]:
    """A picture, ``(3, h, w)``."""
    from PIL import Image

    with Image.open(dataset.file(dataset.samples[row])) as image:
        return np.asarray(image.convert("RGB").resize((_SIDE, _SIDE)), dtype=np.uint8).transpose(2, 0, 1)


TOOLS: dict[str, tuple[str, Callable[[Path], Issues]]] = {
    "Datalab": ("cleanlab", datalab),
    "CleanVision": ("cleanvision", cleanvision),
    "DataEval": ("dataeval", dataeval),
}
