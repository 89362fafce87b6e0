"""The pictures of an experiment: written as copies by the parent, read by the worker, never the person's own files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from diagnose.sandbox.parts import Transform

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Decoded RGB images with labels, ordered by class as an image folder is.

    Attributes:
        train: Training images; ``train_labels`` are indices into ``classes``.
        validation: Held-out images.
        classes: Class names.
        rows: Positions of the training images in the data set that they were drawn from, and of the validation images;
            empty where they are not known.
    """

    train: tuple[Image.Image, ...]
    train_labels: tuple[int, ...]
    validation: tuple[Image.Image, ...]
    validation_labels: tuple[int, ...]
    classes: tuple[str, ...]
    rows: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())

    def positions(self, train: int, validation: int, seed: int) -> tuple[IntArray, IntArray]:
        """Which training and which validation images :meth:`subset` takes."""
        # Each with a stream of its own: the validation images are the same whatever is learnt from.
        first = _draw(np.asarray(self.train_labels), train, np.random.default_rng([seed, 0]))
        return first, _draw(np.asarray(self.validation_labels), validation, np.random.default_rng([seed, 1]))

    def subset(self, train: int, validation: int, seed: int) -> Pictures:
        """At most so many of each split, drawn evenly over the classes, in class order."""
        first, second = self.positions(train, validation, seed)
        return Pictures(
            train=tuple(self.train[i] for i in first),
            train_labels=tuple(self.train_labels[i] for i in first),
            validation=tuple(self.validation[i] for i in second),
            validation_labels=tuple(self.validation_labels[i] for i in second),
            classes=self.classes,
        )


def _draw(labels: IntArray, count: int, rng: np.random.Generator) -> IntArray:
    """Positions of ``count`` samples that keep the classes' shares, sorted by class."""
    shuffled = rng.permutation(len(labels))
    if count < len(labels):
        # The r-th of a class of m is taken in the order of (r + 0.5) / m: every prefix keeps the shares.
        order = shuffled[np.argsort(labels[shuffled], kind="stable")]
        rank = np.concatenate([(np.arange(m) + rng.random()) / m for m in np.unique(labels, return_counts=True)[1]])
        shuffled = order[np.argsort(rank, kind="stable")[:count]]
    return shuffled[np.lexsort((shuffled, labels[shuffled]))]


def write(pictures: Pictures, folder: Path) -> None:
    """Lossless copies and their labels into a new folder."""
    folder.mkdir(parents=True)
    for split, images in (("train", pictures.train), ("validation", pictures.validation)):
        for number, image in enumerate(images):
            image.save(folder / f"{split}-{number:06d}.png", compress_level=1)
    labels = {
        "train": pictures.train_labels,
        "validation": pictures.validation_labels,
        "classes": pictures.classes,
    }
    (folder / "labels.json").write_text(json.dumps(labels), encoding="utf-8")


def read(folder: Path) -> Pictures:
    """What :func:`write` wrote, pixels in memory."""
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    return Pictures(
        train=_images(folder, "train", len(labels["train"])),
        train_labels=tuple(labels["train"]),
        validation=_images(folder, "validation", len(labels["validation"])),
        validation_labels=tuple(labels["validation"]),
        classes=tuple(labels["classes"]),
    )


def _images(folder: Path, split: str, count: int) -> tuple[Image.Image, ...]:
    images = []
    for number in range(count):
        with Image.open(folder / f"{split}-{number:06d}.png") as image:
            images.append(image.convert("RGB"))
    return tuple(images)


class Transformed(Dataset[tuple[Tensor, int]]):
    """Pictures through a transform; a transform without randomness is applied only once to each."""

    def __init__(self, images: Sequence[Image.Image], labels: Sequence[int], transform: Transform) -> None:
        self.images, self.labels, self.transform = images, labels, transform
        self.stored: dict[int, Tensor] | None = None if is_random(transform, images) else {}

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        label = self.labels[index]
        if self.stored is None:
            return self.transform(self.images[index].copy()), label
        if index not in self.stored:
            self.stored[index] = self.transform(self.images[index].copy())
        return self.stored[index].clone(), label


def is_random(transform: Transform, images: Sequence[Image.Image]) -> bool:
    """Whether any of three passes over each of up to four pictures differ."""
    for image in images[:4]:
        first, *others = (torch.as_tensor(transform(image.copy())) for _ in range(3))
        if any(first.shape != other.shape or not torch.equal(first, other) for other in others):
            return True
    return False


def stack(images: Sequence[Image.Image], transform: Transform) -> Tensor:
    """A batch ``(n, channels, height, width)`` of transformed pictures."""
    return torch.stack([torch.as_tensor(transform(image.copy())) for image in images])


BLACK, WHITE = (0, 0, 0), (255, 255, 255)
PRIMARIES = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


def answer_to(colour: tuple[int, int, int], transform: Transform, size: tuple[int, int], *, draws: int = 9) -> Tensor:
    """What a transform makes of a picture of one colour: ``(channels,)``, the median over pixels and draws."""
    flat = stack([Image.new("RGB", size, colour)] * draws, transform).float()
    return flat.transpose(0, 1).flatten(1).median(1).values


def channel_order(transform: Transform, size: tuple[int, int]) -> tuple[int, ...]:
    """For each output channel, the primary colour that it answers to most; ``()`` unless there are three."""
    answers = torch.stack([answer_to(c, transform, size) for c in PRIMARIES])
    return tuple(answers.argmax(0).tolist()) if answers.shape[1] == 3 else ()
