"""Small image data sets drawn from public ones, kept in memory, written as a folder for a diagnosis.

A world has pictures to learn from, pictures to be judged on, and fresh pictures that no diagnosis ever sees: on those the
true cost of a fault is measured. A world is drawn without copies, so that it is the healthy twin of what is planted in it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from diagnose.context import Context
from zoo.cache import replacing, root
from zoo.catalog import card
from zoo.data import Dataset, read
from zoo.features import embed

IntArray = npt.NDArray[np.int64]
Change = Callable[[Image.Image], Image.Image]
#: Where the real pictures lie; ``ZOO_PICTURES`` says otherwise.
PICTURES = Path(os.environ.get("ZOO_PICTURES", Path(__file__).parents[3] / "shared" / "data"))
SETS = ("digits", "clothing", "sign_digits", "blood_cells")
_BACKBONE = "efficientnet_lite0"
_FRESH = 400
_POOL = 4000  # pictures a data set that worlds are drawn from
_DIGITS = ("zero", "one", "two", "three", "four", "five")  # six are enough, and told apart well
_MOST = 1.5  # how many times the smallest class's share another may have


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One encoded picture: ``name`` without folders, the given label, the true one, train or val.

    ``shown`` says whether its class can be seen in it at all; where it cannot, no label of it is right or wrong.
    """

    name: str
    data: bytes
    label: int
    truth: int
    split: str
    shown: bool = True

    def changed(self, change: Change) -> Picture:
        """The same picture, its pixels changed."""
        with Image.open(io.BytesIO(self.data)) as image:
            return replace(self, data=encode(change(image.convert("RGB"))))


@dataclass(frozen=True, kw_only=True)
class World:
    """A data set in memory.

    Attributes:
        classes: Names of the classes; a fault may add some.
        true_classes: For each class, the class that it truly is.
        fresh: Pictures that only the benchmark sees, rightly labelled.
    """

    name: str
    pictures: tuple[Picture, ...]
    classes: tuple[str, ...]
    true_classes: tuple[int, ...]
    fresh: tuple[Picture, ...]

    @property
    def labels(self) -> IntArray:
        """Given labels, ``(n,)``."""
        return np.array([picture.label for picture in self.pictures], dtype=np.int64)

    def rows(self, split: str) -> IntArray:
        """Positions of one part."""
        return np.flatnonzero([picture.split == split for picture in self.pictures])

    def put(self, changed: dict[int, Picture]) -> World:
        """Some pictures replaced."""
        return replace(self, pictures=tuple(changed.get(i, p) for i, p in enumerate(self.pictures)))

    def only(self, rows: Sequence[int] | IntArray) -> World:
        """Some of the pictures."""
        return replace(self, pictures=tuple(self.pictures[int(i)] for i in rows))

    def added(self, pictures: Sequence[Picture]) -> World:
        """More pictures, under names of their own."""
        named = [replace(p, name=_token(f"{p.name}{i}{p.split}", p.data)) for i, p in enumerate(pictures)]
        return replace(self, pictures=(*self.pictures, *named))

    def write(self, folder: Path) -> Path:
        """As ``train/class/picture`` and ``val/class/picture``."""
        for picture in self.pictures:
            place = folder / picture.split / self.classes[picture.label]
            place.mkdir(parents=True, exist_ok=True)
            (place / picture.name).write_bytes(picture.data)
        return folder


def world(name: str, seed: int, *, train: int = 320, validation: int = 160) -> World:
    """A random subset of a data set: classes within a factor of each other, no two copies."""
    data, classes = _pool(name)
    rng = np.random.default_rng([seed, SETS.index(name)])
    labels = np.array([label for _, label in data])
    smallest = np.bincount(labels).min()
    order = rng.permutation(len(data))
    rank = np.zeros(len(data), dtype=int)
    for label in range(len(classes)):
        members = order[labels[order] == label]
        rank[members] = np.arange(len(members))
    chosen = rng.permutation(order[rank[order] < _MOST * smallest])  # the frequent classes reach their limit early
    kept, fresh = chosen[: train + validation], chosen[train + validation :][:_FRESH]

    def picture(row: int, split: str) -> Picture:
        found, label = data[row]
        content = found.read_bytes() if isinstance(found, Path) else found
        return Picture(name=_token(str(row), content), data=content, label=label, truth=label, split=split)

    return World(
        name=name,
        pictures=tuple(picture(row, "train" if i < train else "val") for i, row in enumerate(kept)),
        classes=classes,
        true_classes=tuple(range(len(classes))),
        fresh=tuple(picture(row, "fresh") for row in fresh),
    )


def encode(image: Image.Image) -> bytes:
    """As PNG, so that what was changed is changed once."""
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _token(salt: str, content: bytes) -> str:
    """A file name that tells nothing."""
    kind = ".png" if content[:4] == b"\x89PNG" else ".jpg"
    return hashlib.sha256(salt.encode()).hexdigest()[:12].translate(str.maketrans("0123456789", "ghijklmnop")) + kind


@cache
def _pool(name: str) -> tuple[list[tuple[bytes | Path, int]], tuple[str, ...]]:
    """At most so many pictures of a data set, without copies, and the names of the classes."""
    if name == "digits":
        return _digits()
    dataset = read(PICTURES / name)
    dataset = dataset.select(np.sort(np.random.default_rng(0).permutation(len(dataset))[:_POOL]))
    note = root() / "faults" / f"{name}-{len(dataset)}.json"
    if not note.exists():
        with replacing(note) as part:
            part.write_text(json.dumps(_without_copies(dataset)), "utf-8")
    kept = set(json.loads(note.read_text("utf-8")))
    return [(dataset.file(s), s.label) for s in dataset.samples if s.path in kept], dataset.classes


def _without_copies(dataset: Dataset) -> list[str]:
    """Paths of the pictures that are no copies of another."""
    features = embed(dataset, [card(_BACKBONE)])
    matrix, statistics = features.matrix(_BACKBONE), features.statistics
    context = Context(dataset=features.dataset, statistics=statistics, embeddings={_BACKBONE: matrix})
    first = np.unique(context.duplicates, return_index=True)[1]
    return [context.paths[int(row)] for row in np.sort(first)]


def _digits() -> tuple[list[tuple[bytes | Path, int]], tuple[str, ...]]:
    """scikit-learn's digits in ink on paper with a texture of its own, 64 pixels."""
    from sklearn.datasets import load_digits

    rng = np.random.default_rng(0)
    bunch = load_digits()
    pairs = list(zip(bunch.images, bunch.target, strict=True))
    drawn = [(encode(_written(image, rng)), int(label)) for image, label in pairs]
    return [(data, label) for data, label in drawn if label < len(_DIGITS)], _DIGITS


def _written(digit: npt.NDArray[np.floating], rng: np.random.Generator) -> Image.Image:
    mask = Image.new("L", (64, 64))
    drawn = Image.fromarray(np.uint8(digit * 15.9)).resize((60, 60), Image.Resampling.BICUBIC)
    mask.paste(drawn, (int(rng.integers(0, 5)), int(rng.integers(0, 5))))
    paper = Image.fromarray(np.uint8(rng.integers(238, 254, (6, 6, 3)))).resize((64, 64), Image.Resampling.BICUBIC)
    ink = Image.new("RGB", (64, 64), tuple(int(v) for v in rng.integers(0, 40, 3)))
    return Image.composite(ink, paper, mask)
