"""Wrong labels, and labels that do not say what they should."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.faults.families import data_fault
from benchmarks.faults.worlds import IntArray, World


def relabelled(world: World, rows: IntArray, labels: IntArray) -> World:
    """Some pictures under other labels; what they truly are stays."""
    return world.put(
        {int(r): replace(world.pictures[int(r)], label=int(label)) for r, label in zip(rows, labels, strict=True)}
    )


def share_of(rows: IntArray, share: float, rng: np.random.Generator) -> IntArray:
    """A random share of the rows, at least one."""
    return np.sort(rng.permutation(rows)[: max(1, round(share * len(rows)))])


@data_fault("noise-uniform", "label-noise", (0.1, 0.25, 0.4))
def uniform(world: World, share: float, rng: np.random.Generator) -> World:
    """Any picture may carry any other label."""
    rows, count = share_of(np.arange(len(world.pictures)), share, rng), len(world.classes)
    return relabelled(world, rows, (world.labels[rows] + rng.integers(1, count, len(rows))) % count)


@data_fault("noise-pairs", "label-noise", (0.1, 0.2, 0.35))
def pairs(world: World, share: float, rng: np.random.Generator) -> World:
    """A class is mistaken for one other."""
    count = len(world.classes)
    cycle = rng.permutation(count)
    following = np.empty(count, dtype=np.int64)
    following[cycle] = np.roll(cycle, 1)
    rows = share_of(np.arange(len(world.pictures)), share, rng)
    return relabelled(world, rows, following[world.labels[rows]])


@data_fault("noise-in-validation", "label-noise", (0.1, 0.2, 0.35))
def in_validation(world: World, share: float, rng: np.random.Generator) -> World:
    """Only what accuracy is measured on is labelled carelessly."""
    rows, count = share_of(world.rows("val"), share, rng), len(world.classes)
    return relabelled(world, rows, (world.labels[rows] + rng.integers(1, count, len(rows))) % count)


@data_fault("noise-one-class", "label-noise class-overlap", (0.3, 0.5))
def one_class(world: World, share: float, rng: np.random.Generator) -> World:
    """One labeller did not know two of the classes: pictures of either carry a third label."""
    classes = rng.permutation(len(world.classes))
    rows = np.flatnonzero(np.isin(world.labels, classes[: max(1, len(classes) // 4)]))
    rows = share_of(rows, share, rng)
    return relabelled(world, rows, np.full(len(rows), classes[-1]))


@data_fault("labels-shuffled", "no-signal label-noise", (0.9, 1.0))
def shuffled(world: World, share: float, rng: np.random.Generator) -> World:
    """Pictures and labels came apart, such as by sorting one of them."""
    rows = share_of(np.arange(len(world.pictures)), share, rng)
    return relabelled(world, rows, rng.permutation(world.labels[rows]))


@data_fault("class-twice", "class-overlap label-names", (0.5,))
def twice(world: World, share: float, rng: np.random.Generator) -> World:
    """Some classes exist twice under names that have nothing in common."""
    names, true, out = list(world.classes), list(world.true_classes), world
    for label in rng.permutation(len(world.classes))[: max(1, len(world.classes) // 3)]:
        names.append(f"kind {chr(65 + len(names))}")
        true.append(int(label))
        rows = share_of(np.flatnonzero(world.labels == label), share, rng)
        out = relabelled(out, rows, np.full(len(rows), len(names) - 1))
    return replace(out, classes=tuple(names), true_classes=tuple(true))


@data_fault("class-mixed", "class-overlap label-noise", (0.5, 0.8))
def mixed(world: World, share: float, rng: np.random.Generator) -> World:
    """Two classes are given out at random between each other."""
    one, other = rng.permutation(len(world.classes))[:2]
    rows = share_of(np.flatnonzero(np.isin(world.labels, [one, other])), share, rng)
    return relabelled(world, rows, rng.choice([one, other], len(rows)))


@data_fault("names-misspelt", "label-names", (0.2, 0.5))
def misspelt(world: World, share: float, rng: np.random.Generator) -> World:
    """Some classes go by two spellings."""
    names, true, out = list(world.classes), list(world.true_classes), world
    for label in rng.permutation(len(world.classes))[: max(1, len(world.classes) // 3)]:
        names.append(world.classes[label].swapcase() + "_")
        true.append(int(label))
        rows = share_of(np.flatnonzero(world.labels == label), share, rng)
        out = relabelled(out, rows, np.full(len(rows), len(names) - 1))
    return replace(out, classes=tuple(names), true_classes=tuple(true))
