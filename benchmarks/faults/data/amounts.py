"""Too few pictures, of some classes or of all.

Only training pictures are taken away: where classes lose unequally, the parts' shares of classes differ as well.
"""

from __future__ import annotations

import numpy as np

from benchmarks.faults.families import data_fault
from benchmarks.faults.worlds import World


@data_fault("classes-rare", "class-imbalance too-few-images split-shift", (5, 2))
def rare(world: World, kept: float, rng: np.random.Generator) -> World:
    """A third of the classes keep a few training pictures."""
    chosen = rng.permutation(len(world.classes))[: max(1, len(world.classes) // 3)]
    return world.only(_kept(world, {int(label): int(kept) for label in chosen}, rng))


@data_fault("one-class-floods", "class-imbalance too-few-images split-shift", (0.9, 0.95))
def flood(world: World, share: float, rng: np.random.Generator) -> World:
    """One class has nearly all training pictures."""
    counts = np.bincount(world.labels[world.rows("train")], minlength=len(world.classes))
    most = int(counts.argmax())
    each = max(1, round(counts[most] * (1 - share) / share / (len(counts) - 1)))
    return world.only(_kept(world, {label: each for label in range(len(counts)) if label != most}, rng))


@data_fault("few-pictures", "too-few-images", (12, 6, 3))
def few(world: World, each: float, rng: np.random.Generator) -> World:
    """A few training pictures a class."""
    return world.only(_kept(world, dict.fromkeys(range(len(world.classes)), int(each)), rng))


def _kept(world: World, limits: dict[int, int], rng: np.random.Generator) -> list[int]:
    """Positions that stay where classes keep at most so many training pictures."""
    gone: set[int] = set()
    train = world.rows("train")
    for label, limit in limits.items():
        gone |= {int(r) for r in rng.permutation(train[world.labels[train] == label])[limit:]}
    return [i for i in range(len(world.pictures)) if i not in gone]
