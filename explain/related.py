"""Training images that belong with an explanation: the most alike, and those that spoke most for the decision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from explain.classifier import Classifier
from explain.explanation import Related
from explain.influence import influence, most_influential, neighbours, residuals
from explain.pictures import Picture, read_pictures
from zoo.classifier import embed
from zoo.data.dataset import Dataset
from zoo.errors import DataError

_THUMBNAIL = 96


def read_references(
    pool: Dataset, explained: Sequence[Picture], classifier: Classifier, *, most: int, seed: int
) -> tuple[Picture, ...]:
    """At most ``most`` labelled images of ``pool`` that are not among the explained ones; none where they are gone."""
    known = {p.path for p in explained}
    pool = pool.select([k for k, s in enumerate(pool.samples) if pool.file(s) not in known])
    try:
        pictures, _ = read_pictures(pool, classifier.preprocess, classifier.classes, most=most, seed=seed)
    except DataError:  # the files have been moved or deleted since
        return ()
    return tuple(p for p in pictures if p.label is not None)


def related(
    classifier: Classifier, inputs: Tensor, scores: Tensor, references: Sequence[Picture], *, most: int, batch: int
) -> list[tuple[tuple[Related, ...], tuple[Related, ...]]]:
    """For each image the references most alike, and those with the most influence for its predicted class.

    Args:
        classifier: Gives features and probabilities.
        inputs: The explained images, normalised.
        scores: Their logits ``(n, classes)``.
        references: Labelled training images.
        most: References of either kind for each image.
        batch: Images a pass.
    """
    theirs = classifier.inputs([p.pixels for p in references])
    features, reference_features = _features(classifier, inputs, batch), _features(classifier, theirs, batch)
    labels = np.array([p.label for p in references], dtype=np.int64)
    mine = residuals(scores.softmax(1).numpy(), scores.argmax(1).numpy())
    residual = residuals(classifier.scores(theirs, batch).softmax(1).numpy(), labels)
    strength = influence(features, mine, reference_features, residual)
    relative = strength / np.maximum(np.abs(strength).max(1, keepdims=True), 1e-12)
    alike, similarity = neighbours(features, reference_features, most)
    strongest = most_influential(strength, most)
    return [
        (
            tuple(_reference(references[j], float(v)) for j, v in zip(alike[k], similarity[k], strict=True)),
            tuple(_reference(references[j], float(relative[k, j])) for j in strongest[k] if relative[k, j] > 0),
        )
        for k in range(len(inputs))
    ]


def _features(classifier: Classifier, inputs: Tensor, batch: int) -> npt.NDArray[np.float32]:
    with torch.no_grad():
        parts = [embed(classifier.module, part).float().cpu() for part in torch.split(inputs, batch)]
    return torch.cat(parts).numpy()


def _reference(picture: Picture, value: float) -> Related:
    step = max(1, -(-max(picture.pixels.shape[:2]) // _THUMBNAIL))
    assert picture.label is not None, "references are labelled"
    return Related(name=picture.name, label=picture.label, value=value, pixels=picture.pixels[::step, ::step])
