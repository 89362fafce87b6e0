"""Pictures that show too little, the wrong thing, or more than they should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.faults.data.labels import share_of
from benchmarks.faults.families import data_fault
from benchmarks.faults.worlds import SETS, Change, IntArray, World
from benchmarks.faults.worlds import world as drawn


def repainted(world: World, rows: IntArray, change: Callable[[int], Change]) -> World:
    """Pixels of some pictures changed; the change may depend on the label."""
    return world.put({int(r): world.pictures[int(r)].changed(change(world.pictures[int(r)].label)) for r in rows})


def covered(world: World, rows: IntArray, change: Change) -> World:
    """Pixels of some pictures changed so that their class can hardly be seen in them, if at all."""
    changed = repainted(world, rows, lambda _label: change)
    return changed.put({int(r): replace(changed.pictures[int(r)], shown=False) for r in rows})


@data_fault("files-truncated", "unreadable-files", (0.2, 0.6))
def truncated(world: World, share: float, rng: np.random.Generator) -> World:
    """Downloads that stopped half way."""
    rows = share_of(world.rows("train"), share, rng)
    return world.put({int(r): replace(world.pictures[int(r)], data=world.pictures[int(r)].data[:60]) for r in rows})


@data_fault("pictures-dark", "image-quality", (0.15, 0.4))
def dark(world: World, share: float, rng: np.random.Generator) -> World:
    """The lens cap was on: hardly any light."""
    rows = share_of(np.arange(len(world.pictures)), share, rng)

    def cover(image: Image.Image) -> Image.Image:
        noise = rng.integers(0, 6, (image.height, image.width, 3))
        return Image.fromarray(np.uint8(np.asarray(image) // 40 + noise))

    return covered(world, rows, cover)


@data_fault("pictures-blurred", "image-quality", (0.3, 0.6))
def blurred(world: World, share: float, rng: np.random.Generator) -> World:
    """Out of focus beyond recognition."""
    rows = share_of(np.arange(len(world.pictures)), share, rng)
    return covered(world, rows, lambda image: image.filter(ImageFilter.GaussianBlur(max(image.size) / 7)))


@data_fault("strangers", "off-topic", (0.1, 0.25))
def strangers(world: World, share: float, rng: np.random.Generator) -> World:
    """Pictures of another data set under labels of this one."""
    other = drawn(SETS[(SETS.index(world.name) + 1) % len(SETS)], int(rng.integers(1000)))
    rows = share_of(np.arange(len(world.pictures)), share, rng)
    return world.put(
        {int(r): replace(world.pictures[int(r)], data=other.fresh[i].data, shown=False) for i, r in enumerate(rows)}
    )


@data_fault("blank-pages", "image-quality off-topic duplicates conflicting-duplicates", (0.1, 0.3))
def blank(world: World, share: float, rng: np.random.Generator) -> World:
    """Single-coloured placeholders ("picture not available")."""
    rows = share_of(np.arange(len(world.pictures)), share, rng)
    return covered(world, rows, lambda image: Image.new("RGB", image.size, (228, 228, 230)))


@data_fault("camera-differs", "split-shift", (0.3, 0.9))
def camera(world: World, strength: float, _rng: np.random.Generator) -> World:
    """Validation pictures come from another camera: colours part of the way to their negative, past grey or short of it."""

    def negative(image: Image.Image) -> Image.Image:
        pixels = np.asarray(image, dtype=float)
        return Image.fromarray(np.uint8(pixels * (1 - strength) + (255 - pixels) * strength))

    return repainted(world, world.rows("val"), lambda _label: negative)


@data_fault("site-differs", "split-shift", (0.15, 0.35))
def site(world: World, strength: float, rng: np.random.Generator) -> World:
    """Validation pictures were taken elsewhere: soft, noisy and turned on their side."""

    def elsewhere(image: Image.Image) -> Image.Image:
        soft = image.filter(ImageFilter.GaussianBlur(max(image.size) * strength / 10)).rotate(90 * (strength > 0.3))
        noise = rng.normal(0, 255 * strength / 3, (image.height, image.width, 1))
        return Image.fromarray(np.uint8(np.clip(np.asarray(soft, dtype=float) + noise, 0, 255)))

    return repainted(world, world.rows("val"), lambda _label: elsewhere)


@data_fault("mark-in-corner", "shortcut", (0.9, 1.0))
def corner(world: World, share: float, rng: np.random.Generator) -> World:
    """Each class has its own coloured mark in a corner, in training and validation, not in life."""
    colours = rng.integers(0, 256, (len(world.classes), 3))

    def mark(label: int) -> Change:
        def paint(image: Image.Image) -> Image.Image:
            side = max(image.size) // 5
            image.paste(tuple(int(c) for c in colours[label]), (0, 0, side, side))
            return image

        return paint

    return repainted(world, share_of(np.arange(len(world.pictures)), share, rng), mark)


@data_fault("mark-in-brightness", "shortcut", (0.5, 0.8))
def exposure(world: World, strength: float, _rng: np.random.Generator) -> World:
    """Each class was photographed on its own day, with its own exposure."""
    gains = np.linspace(1 - strength / 2, 1 + strength / 2, len(world.classes))
    return repainted(
        world,
        np.arange(len(world.pictures)),
        lambda label: lambda image: image.point(lambda v: min(255, int(v * gains[label]))),
    )
