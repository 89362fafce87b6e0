"""Copies: across the split, under two labels, in films that the split takes apart, and harmless ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image, ImageOps

from benchmarks.faults.data.labels import share_of
from benchmarks.faults.families import data_fault
from benchmarks.faults.worlds import Picture, World


def copied(picture: Picture, rng: np.random.Generator) -> Picture:
    """A copy as they come about: as it is, smaller, mirrored, or cut."""
    way = int(rng.integers(0, 4))

    def change(image: Image.Image) -> Image.Image:
        if way == 1:
            return image.resize((image.width * 3 // 4, image.height * 3 // 4), Image.Resampling.BICUBIC)
        if way == 2:
            return ImageOps.mirror(image)
        left, top = image.width // 20, image.height // 20
        return image.crop((left, top, image.width - left, image.height - top))

    return picture.changed(change) if way else picture


@data_fault("leak-exact", "split-leakage duplicates", (0.2, 0.5, 0.8))
def exact(world: World, share: float, rng: np.random.Generator) -> World:
    """Validation pictures lie among the training pictures too."""
    rows = share_of(world.rows("val"), share, rng)
    return world.added([replace(world.pictures[int(r)], split="train") for r in rows])


@data_fault("leak-changed", "split-leakage duplicates", (0.2, 0.5, 0.8))
def changed(world: World, share: float, rng: np.random.Generator) -> World:
    """The same, mirrored, cut or resized: augmentation before the split."""
    rows = share_of(world.rows("val"), share, rng)
    return world.added([replace(copied(world.pictures[int(r)], rng), split="train") for r in rows])


@data_fault("films", "group-leakage split-leakage", (4, 8))
def films(world: World, size: float, rng: np.random.Generator) -> World:
    """Frames of one film on both sides of the split; there are fewer things than pictures."""
    films_ = rng.permutation(len(world.pictures))[: round(len(world.pictures) / size)]
    frames = []
    for number, row in enumerate(films_):
        for frame in range(int(size)):
            box, gain = rng.uniform(0, 0.12, 2), float(rng.uniform(0.85, 1.15))

            def shot(image: Image.Image, box=box, gain=gain) -> Image.Image:
                left, top = round(image.width * box[0]), round(image.height * box[1])
                cut = image.crop((left, top, left + round(image.width * 0.88), top + round(image.height * 0.88)))
                return cut.point(lambda v: min(255, int(v * gain)))

            split = "train" if rng.random() < 2 / 3 else "val"
            picture = world.pictures[int(row)].changed(shot)
            frames.append(replace(picture, name=f"clip{number:03d}_{frame:02d}.png", split=split))
    return replace(world, pictures=tuple(frames))


@data_fault("copies-in-conflict", "conflicting-duplicates label-noise", (0.1, 0.3))
def conflicting(world: World, share: float, rng: np.random.Generator) -> World:
    """Copies of training pictures under another label."""
    rows, count = share_of(world.rows("train"), share, rng), len(world.classes)
    twins = [copied(world.pictures[int(r)], rng) for r in rows]
    return world.added([replace(p, label=(p.label + int(rng.integers(1, count))) % count) for p in twins])


@data_fault("copies-in-training", "duplicates", (0.3, 1.0))
def harmless(world: World, share: float, rng: np.random.Generator) -> World:
    """Training pictures that are there twice."""
    rows = share_of(world.rows("train"), share, rng)
    return world.added([world.pictures[int(r)] for r in rows])
