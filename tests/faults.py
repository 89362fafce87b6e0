"""Healthy data made of scikit-learn's digits, and faults planted in it. Nothing here touches a disk or a network."""

import io
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from sklearn.datasets import load_digits

from diagnose.context import Context
from diagnose.retouching import Pictures
from zoo.data import Dataset, Sample
from zoo.data.dataset import Skipped
from zoo.data.decode import decode_picture
from zoo.statistics import STATISTICS, measure

CLASSES = tuple(f"class {digit}" for digit in range(10))
_SIDE = 48


@dataclass(frozen=True)
class World:
    """Pictures (encoded), labels, splits and paths; ``context()`` is what a diagnosis would see of them."""

    files: tuple[bytes, ...]
    labels: np.ndarray
    splits: tuple[str | None, ...]
    paths: tuple[str, ...]
    classes: tuple[str, ...] = CLASSES
    skipped: tuple[Skipped, ...] = ()
    groups: tuple[str | None, ...] | None = None

    def context(self, **keywords) -> Context:
        dataset = Dataset(
            root=Path("nowhere"),
            samples=tuple(
                Sample(path=path, label=int(label), split=split, group=None if self.groups is None else self.groups[i])
                for i, (path, label, split) in enumerate(zip(self.paths, self.labels, self.splits, strict=True))
            ),
            classes=self.classes,
            skipped=self.skipped,
            given_splits=any(split is not None for split in self.splits),
        )
        looked = [_look(data) for data in self.files]
        statistics = np.array([record for record, _ in looked], dtype=STATISTICS)
        features = np.array([feature for _, feature in looked], dtype=np.float16).reshape(len(looked), 240)
        place = dict(zip(self.paths, range(len(self.paths)), strict=True))
        pictures = Pictures(
            open=lambda path: self.picture(place[path]),
            embed=lambda changed: {"tiny": np.array([_look(encode(image))[1] for image in changed])},
        )
        embeddings = {"tiny": features}
        return Context(dataset=dataset, statistics=statistics, embeddings=embeddings, pictures=pictures, **keywords)

    def rows(self, split):
        return np.flatnonzero([s == split for s in self.splits])

    def with_files(self, changed) -> "World":
        files = list(self.files)
        for position, data in changed.items():
            files[position] = data
        return replace(self, files=tuple(files))

    def appended(self, files, labels, split, name="more") -> "World":
        count = len(files)
        splits = (split,) * count
        paths = tuple(f"{split or 'all'}/{name}/{_token(name, i)}.png" for i in range(count))
        labels = np.concatenate([self.labels, np.asarray(labels, dtype=np.int64)])
        return replace(
            self,
            files=(*self.files, *files),
            labels=labels,
            splits=(*self.splits, *splits),
            paths=(*self.paths, *paths),
        )

    def picture(self, position) -> Image.Image:
        return Image.open(io.BytesIO(self.files[position])).convert("RGB")


@cache
def healthy(seed=0, n=600, *, splits=True) -> World:
    """Digits on a paper with a little texture of its own, as PNG files; two thirds for training where split."""
    rng = np.random.default_rng(seed)
    digits = load_digits()
    chosen = rng.permutation(len(digits.target))[:n]
    files = tuple(encode(draw(digits.images[i], rng)) for i in chosen)
    kinds = np.where(np.arange(n) % 3 < 2, "train", "val")
    parts = tuple(str(kind) if splits else None for kind in kinds)
    paths = tuple(f"{part or 'all'}/{_token(seed, i)}.png" for i, part in enumerate(parts))
    return World(files=files, labels=digits.target[chosen].astype(np.int64), splits=parts, paths=paths)


def _token(seed, number) -> str:
    """A file name without order in it."""
    import hashlib

    return (
        hashlib.sha256(f"{seed} {number}".encode())
        .hexdigest()[:12]
        .translate(str.maketrans("0123456789", "ghijklmnop"))
    )


def draw(image, rng, ink=(40, 60, 150), paper=(236, 232, 214)) -> Image.Image:
    """A digit of 8 x 8 as a picture of 48 x 48, moved a little, on paper that is its own."""
    share = Image.fromarray(np.uint8(image * 15.9)).resize((40, 40), Image.Resampling.BICUBIC)
    mask = Image.new("L", (_SIDE, _SIDE))
    mask.paste(share, tuple(int(i) for i in rng.integers(2, 7, 2)))
    texture = Image.fromarray(np.uint8(rng.integers(0, 40, (12, 12)))).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    ground = np.array(paper) - np.asarray(texture, dtype=float)[:, :, None] + rng.normal(0, 3, (_SIDE, _SIDE, 1))
    alpha = np.asarray(mask, dtype=float)[:, :, None] / 255
    return Image.fromarray(np.uint8(np.clip(ground * (1 - alpha) + np.array(ink) * alpha, 0, 255)))


def encode(image, kind="PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@cache
def _weights():
    return np.random.default_rng(7).normal(0, 1, (20 * 20, 192)).astype(np.float32) / 20


@cache
def _look(data):
    """The record of one file, and features as a small frozen network would give: of a grey picture, rectified."""
    picture = decode_picture(data)
    grey = np.asarray(picture.image.convert("L").resize((20, 20), Image.Resampling.BILINEAR), dtype=np.float32).ravel()
    grey = (grey - grey.mean()) / (grey.std() + 5)
    colour = np.asarray(picture.image.resize((4, 4), Image.Resampling.BOX), dtype=np.float32).ravel() / 255
    return measure(picture, len(data)), np.concatenate([np.maximum(grey @ _weights(), 0), colour])


def leaked(world, share, seed=0):
    """A share of the validation pictures comes back in training: exact, resized, re-encoded, cropped, flipped."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(world.rows("val"))[: round(share * len(world.rows("val")))]
    ways = (lambda i: i, resized, reencoded, lambda i: cropped(i, rng), ImageOps.mirror)
    files = [encode(ways[k % len(ways)](world.picture(row))) for k, row in enumerate(rows)]
    return world.appended(files, world.labels[rows], "train", "copies"), rows


def resized(image):
    return image.resize((image.width * 3 // 4, image.height * 3 // 4), Image.Resampling.BICUBIC)


def reencoded(image):
    return Image.open(io.BytesIO(encode(image, "JPEG", quality=60))).convert("RGB")


def cropped(image, rng, share=0.9):
    width, height = round(image.width * share), round(image.height * share)
    left, top = int(rng.integers(0, image.width - width + 1)), int(rng.integers(0, image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def conflicting(world, share, seed=0):
    """Copies of training pictures under another label, in training."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(world.rows("train"))[: round(share * len(world.files))]
    labels = (world.labels[rows] + rng.integers(1, 10, len(rows))) % 10
    return world.appended([world.files[row] for row in rows], labels, "train", "conflicts")


def darkened(world, share, seed=0):
    """Pictures taken with the lens cap half on."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(world.files))[: round(share * len(world.files))]
    black = {int(row): encode(Image.fromarray(np.uint8(rng.integers(0, 12, (_SIDE, _SIDE, 3))))) for row in rows}
    return world.with_files(black)


def strangers(world, share, seed=0):
    """Pictures of something else (stripes), under random labels."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(world.files))[: round(share * len(world.files))]
    changed = {}
    for row in rows:
        bars = rng.integers(0, 2, int(rng.integers(4, 12))) * 180 + rng.integers(0, 60)
        stripes = np.repeat(bars[None, :], len(bars), axis=0).astype(np.uint8)
        image = Image.fromarray(stripes).resize((_SIDE, _SIDE), Image.Resampling.NEAREST).convert("RGB")
        changed[int(row)] = encode(image.rotate(int(rng.integers(0, 180))))
    return world.with_files(changed)


def rare(world, kept, classes=(1, 8)):
    """All but a few training pictures of some classes are gone."""
    keep = []
    for position, (label, split) in enumerate(zip(world.labels, world.splits, strict=True)):
        earlier = sum(1 for other in keep if world.labels[other] == label and world.splits[other] == "train")
        if label not in classes or split != "train" or earlier < kept:
            keep.append(position)
    return subset(world, keep)


def subset(world, keep):
    return replace(
        world,
        files=tuple(world.files[i] for i in keep),
        labels=world.labels[list(keep)],
        splits=tuple(world.splits[i] for i in keep),
        paths=tuple(world.paths[i] for i in keep),
        groups=None if world.groups is None else tuple(world.groups[i] for i in keep),
    )


def shifted(world, strength):
    """The validation pictures come from another camera: inverted in part, and low in contrast."""
    changed = {}
    for row in world.rows("val"):
        pixels = np.asarray(world.picture(row), dtype=float)
        changed[int(row)] = encode(Image.fromarray(np.uint8(pixels * (1 - strength) + (255 - pixels) * strength)))
    return world.with_files(changed)


def with_patches(world, share, where="train"):
    """A corner patch in a colour of the class's own, on a share of the pictures of one part."""
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 255, (10, 3))
    changed = {}
    for position, (label, split) in enumerate(zip(world.labels, world.splits, strict=True)):
        if split == where or where == "all":
            image = world.picture(position)
            number = label if rng.random() < share else rng.integers(0, 10)
            image.paste(tuple(int(c) for c in colours[number]), (0, 0, 9, 9))
            changed[position] = encode(image)
    return world.with_files(changed)


def misspelt(world, share, seed=0):
    """A class goes by two names: a share of its pictures carries ``Class 3`` in place of ``class 3``."""
    rng = np.random.default_rng(seed)
    labels = world.labels.copy()
    for label in (3, 5):
        rows = np.flatnonzero(labels == label)
        labels[rng.permutation(rows)[: round(share * len(rows))]] = 10 + (label == 5)
    return replace(world, labels=labels, classes=(*CLASSES, "Class 3", "class-5 "))


def bursts(size, seed=0, n=600):
    """Each picture is a burst: ``size`` frames that differ by a small shift and grain, spread over both parts at random."""
    rng = np.random.default_rng(seed)
    digits = load_digits()
    chosen = rng.permutation(len(digits.target))[: n // size]
    files, labels, paths, splits = [], [], [], []
    for film, i in enumerate(chosen):
        ink, paper = rng.integers(0, 120, 3), rng.integers(150, 250, 3)
        for frame in range(size):
            files.append(encode(draw(rng.permuted(digits.images[i], axis=1) * 0 + digits.images[i], rng, ink, paper)))
            labels.append(int(rng.integers(0, 10)) if frame < 0 else int(digits.target[i]))
            splits.append("train" if rng.random() < 0.67 else "val")
            paths.append(f"{splits[-1]}/film{_token('film', film)}_{frame:03d}.png")
    return World(files=tuple(files), labels=np.array(labels), splits=tuple(splits), paths=tuple(paths))


def truncated(world, share):
    """Some files could not be decoded."""
    lost = tuple(Skipped(path=f"train/lost{i}.jpg", reason="truncated") for i in range(round(share * len(world.files))))
    return replace(world, skipped=lost)
