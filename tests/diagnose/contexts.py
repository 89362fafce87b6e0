"""A context of handwritten digits, with the labels a test wants."""

from pathlib import Path

import numpy as np

from diagnose.context import Context
from tests.diagnose.digits import digits
from zoo.data import Dataset, Sample
from zoo.statistics import STATISTICS


def context_of(labels, *, features=None, splits=None, classes=None):
    """The digits, or these features, with these labels; no two images are copies of each other."""
    features = digits()[0] if features is None else features
    statistics = np.zeros(len(labels), dtype=STATISTICS)
    samples = tuple(
        Sample(path=f"{i:05d}.png", label=int(label), split=None if splits is None else splits[i])
        for i, label in enumerate(labels)
    )
    classes = int(max(labels)) + 1 if classes is None else classes
    dataset = Dataset(
        root=Path(),
        samples=samples,
        classes=tuple(f"class {c}" for c in range(classes)),
        given_splits=splits is not None,
    )
    context = Context(
        dataset=dataset, statistics=statistics, embeddings={f"backbone {i}": x for i, x in enumerate(features)}
    )
    vars(context)["duplicates"] = np.arange(len(labels))
    return context
