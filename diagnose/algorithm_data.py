"""The pictures that an algorithm is examined on."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from diagnose.experiments import render_digits
from diagnose.sandbox.pictures import Pictures
from zoo.data.dataset import Dataset, IntArray
from zoo.data.decode import UnusableImage, decode
from zoo.data.files import read_file
from zoo.data.splits import split
from zoo.errors import DataError

#: Shorter side of the copies that an algorithm sees, pixels: every usual transform fits into it.
SHORT_SIDE = 256
_DIGITS = 1797  # scikit-learn has no more
#: Pictures of cell C to learn from, and to be judged on, at most.
KNOWN_GOOD_TRAIN, KNOWN_GOOD_VALIDATION = 400, 300


def pictures_of(dataset: Dataset, *, train: int = 2000, validation: int = 500, seed: int = 0) -> Pictures:
    """A subset of a person's data in memory: the train split, and val (else test) as held-out pictures.

    Pictures larger than :data:`SHORT_SIDE` are shrunk to it; those that cannot be read are left out, and so are classes
    that are missing from the training pictures.

    Args:
        dataset: With or without splits.
        train: At most so many training pictures, classes in their shares.
        validation: At most so many held-out pictures.
        seed: Of the draw.

    Raises:
        DataError: There are not two classes, or no held-out pictures.
    """
    dataset = split(dataset, seed=seed)
    held = dataset.indices("val") if len(dataset.indices("val")) else dataset.indices("test")
    loaded = [
        [(i, image) for i in group if (image := _load(dataset, i)) is not None]
        for group in (
            _draw(dataset.labels, dataset.indices("train"), train, seed),
            _draw(dataset.labels, held, validation, seed),
        )
    ]
    labels = sorted({int(dataset.labels[i]) for i, _ in loaded[0] if dataset.labels[i] >= 0})
    kept = [[(int(i), image) for i, image in group if dataset.labels[i] in labels] for group in loaded]
    numbers = [tuple(labels.index(dataset.labels[i]) for i, _ in group) for group in kept]
    if len(labels) < 2 or not kept[1]:
        raise DataError(
            f"An algorithm is examined on at least two classes and some held-out pictures; {dataset.name} has too few.",
            remedy="Give labelled pictures of two or more classes.",
        )
    return Pictures(
        train=tuple(image for _, image in kept[0]),
        train_labels=numbers[0],
        validation=tuple(image for _, image in kept[1]),
        validation_labels=numbers[1],
        classes=tuple(dataset.classes[label] for label in labels),
        rows=(tuple(i for i, _ in kept[0]), tuple(i for i, _ in kept[1])),
    )


def known_good_pictures(num_classes: int) -> Pictures:
    """Cell C's data: pictures of the positive control's digits.

    Only as many digits as the person's data has classes: a file that fixes their number must fit.
    """
    with tempfile.TemporaryDirectory(prefix="zoovet-") as folder:
        dataset = render_digits(Path(folder), _DIGITS)
        few = dataset.select(np.flatnonzero(dataset.labels < max(2, num_classes)))
        return pictures_of(few, train=KNOWN_GOOD_TRAIN, validation=KNOWN_GOOD_VALIDATION)


def _draw(labels: IntArray, positions: IntArray, count: int, seed: int) -> IntArray:
    """``count`` of the positions, classes in their shares, ordered by class."""
    shuffled = np.random.default_rng(seed).permutation(positions)
    if count < len(shuffled):
        order = shuffled[np.argsort(labels[shuffled], kind="stable")]
        sizes = np.unique(labels[order], return_counts=True)[1]
        rank = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes])
        shuffled = order[np.argsort(rank, kind="stable")[:count]]
    return shuffled[np.argsort(labels[shuffled], kind="stable")]


def _load(dataset: Dataset, position: int) -> Image.Image | None:
    try:
        image = decode(read_file(dataset.file(dataset.samples[position])), short_side=SHORT_SIDE)
    except (UnusableImage, OSError):
        return None
    scale = SHORT_SIDE / min(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
