"""Training images that belong with an explanation: the most alike, and those that spoke most for the decision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explain.batches import images_a_pass
from explain.classifier import Classifier
from explain.explanation import Related
from explain.influence import FloatArray, IntArray, influence, most_influential, neighbours, residuals
from explain.pictures import Picture, read_pictures
from zoo.classifier import embed
from zoo.data.dataset import Dataset
from zoo.errors import DataError, StorageError
from zoo.features import embed as embed_all
from zoo.features import stored
from zoo.progress import ProgressCallback
from zoo.readout import readout
from zoo.run import Run

_THUMBNAIL = 96
#: Stored rows that are searched at most.
_MOST_STORED = 20_000


@dataclass(frozen=True, kw_only=True)
class References:
    """Labelled training images as a run's model sees them.

    Attributes:
        dataset: ``n`` of them.
        features: ``(n, d)``, as they enter the head.
        residual: Their ``p - y``, ``(n, classes)``.
    """

    dataset: Dataset
    features: FloatArray
    residual: FloatArray


def read_labelled(
    pool: Dataset, explained: Sequence[Picture], classifier: Classifier, *, most: int, seed: int
) -> tuple[Picture, ...]:
    """At most ``most`` labelled images of ``pool`` that are not among the explained ones; none where they are gone."""
    try:
        pictures, _ = read_pictures(
            _others(pool, explained), classifier.preprocess, classifier.classes, most=most, seed=seed
        )
    except DataError:  # the files have been moved or deleted since
        return ()
    return tuple(p for p in pictures if p.label is not None)


def _others(pool: Dataset, explained: Sequence[Picture]) -> Dataset:
    known = {p.path for p in explained}
    return pool.select([k for k, s in enumerate(pool.samples) if pool.file(s) not in known])


def references(
    run: Run, explained: Sequence[Picture], *, most: int, seed: int, device: str, progress: ProgressCallback
) -> References | None:
    """The training images of a run that are not among the explained ones, with their features from the store.

    All whose features are stored, or, where those are few, ``most`` of them, which are stored then. ``None`` where there
    are none, or the model is more than a linear layer on features.
    """
    read = readout(run)
    if read is None:
        return None
    dataset = run.dataset()
    pool = _others(dataset.select(dataset.indices("train")), explained)
    drawn = np.random.default_rng(seed).permutation(len(pool))[:_MOST_STORED]
    known = stored(pool.select(drawn), read.backbone)
    chosen = np.sort(drawn[known] if known.sum() >= min(most, len(pool)) else drawn[:most])
    try:
        features = embed_all(pool.select(chosen), [read.backbone], device=device, progress=progress)
    except StorageError:  # the cache cannot be written
        return None
    if not len(features.dataset):
        return None
    rows = features.matrix(read.backbone.card.name).astype(np.float32)
    residual = residuals(read.head.probabilities(rows), features.dataset.labels)
    return References(dataset=features.dataset, features=rows, residual=residual)


def related(
    classifier: Classifier, inputs: Tensor, scores: Tensor, known: References, *, most: int, batch: int
) -> list[tuple[tuple[Related, ...], tuple[Related, ...]]]:
    """For each image the references most alike, and those with the most influence for its predicted class.

    Args:
        classifier: Gives the features of the explained images.
        inputs: The explained images, normalised.
        scores: Their logits ``(n, classes)``.
        known: Training images.
        most: References of either kind for each image.
        batch: Images a pass.
    """
    features = _features(classifier, inputs, batch)
    mine = residuals(scores.softmax(1).numpy(), scores.argmax(1).numpy())
    strength = influence(features, mine, known.features, known.residual)
    relative = strength / np.maximum(np.abs(strength).max(1, keepdims=True), 1e-12)
    alike, similarity = neighbours(features, known.features, most)
    strongest = most_influential(strength, most)
    shown = _pictures(known.dataset, {*alike.flat, *strongest.flat}, classifier)
    return [
        (
            tuple(_related(shown, alike[k], similarity[k])),
            tuple(r for r in _related(shown, strongest[k], relative[k, strongest[k]]) if r.value > 0),
        )
        for k in range(len(inputs))
    ]


def _features(classifier: Classifier, inputs: Tensor, batch: int) -> FloatArray:
    with torch.no_grad():
        size = images_a_pass(inputs, batch)
        parts = [embed(classifier.module, part).float().cpu() for part in torch.split(inputs, size)]
    return np.asarray(torch.cat(parts).numpy())


def _pictures(dataset: Dataset, positions: Iterable[int], classifier: Classifier) -> dict[int, Picture]:
    """Those of the images that can still be read, by position."""
    wanted = sorted({int(k) for k in positions})
    some, preprocess = dataset.select(wanted), classifier.preprocess
    try:
        pictures, _ = read_pictures(some, preprocess, classifier.classes, most=len(wanted))
    except DataError:  # the files have been moved or deleted since
        return {}
    place = {dataset.file(dataset.samples[k]): k for k in wanted}
    return {place[p.path]: p for p in pictures if p.path is not None}


def _related(pictures: dict[int, Picture], positions: IntArray, values: FloatArray) -> Iterator[Related]:
    """Pictures beside their values, without those that cannot be shown."""
    for position, value in zip(positions.tolist(), values.tolist(), strict=True):
        picture = pictures.get(position)
        if picture is None or picture.label is None:
            continue
        step = max(1, -(-max(picture.pixels.shape[:2]) // _THUMBNAIL))
        yield Related(name=picture.name, label=picture.label, value=value, pixels=picture.pixels[::step, ::step])
