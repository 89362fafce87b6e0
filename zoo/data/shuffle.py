"""Random order that depends on a seed and on what is ordered: not on machine, NumPy version or the order given."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from zoo.data.dataset import IntArray

UIntArray = npt.NDArray[np.uint64]


def keys_of_names(names: Iterable[str], *, seed: int) -> UIntArray:
    """A random 64-bit number for each name, shape ``(n,)``; sorting by it is a shuffle that new names do not upset."""
    salt = seed.to_bytes(16, "little", signed=True)
    joined = b"".join(
        blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, key=salt).digest() for name in names
    )
    return np.frombuffer(joined, dtype="<u8").astype(np.uint64)


def keys_of_positions(count: int, *, seed: int) -> UIntArray:
    """A random 64-bit number for each of ``0..count-1``, shape ``(n,)``: SplitMix64 (Steele et al., OOPSLA 2014)."""
    start = int.from_bytes(blake2b(seed.to_bytes(16, "little", signed=True), digest_size=8).digest(), "little")
    z = np.uint64(start) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return mix(z)


def mix(z: UIntArray) -> UIntArray:
    """One number for each number, as different as can be from its neighbours' (the finaliser of SplitMix64)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def units(count: int, *labellings: IntArray) -> IntArray:
    """The number of the unit that each of ``count`` items belongs to, shape ``(n,)``.

    Items are of one unit where any of the ``labellings`` (each ``(n,)``; a negative number is a group of its own) gives
    them one number, or where a chain of such items leads from one to the other. Numbered from 0 by first appearance.
    """
    parent = np.arange(count, dtype=np.int64)
    edges = [edge for labelling in labellings if (edge := _edges(labelling)) is not None]
    changed = bool(edges)
    while changed:  # label propagation with pointer jumping: a few rounds even for long chains
        before = parent
        parent = parent.copy()
        for one, other in edges:
            low = np.minimum(parent[one], parent[other])
            np.minimum.at(parent, parent[one], low)
            np.minimum.at(parent, parent[other], low)
        while not np.array_equal(parent, parent[parent]):
            parent = parent[parent]
        changed = not np.array_equal(before, parent)
    return np.unique(parent, return_inverse=True)[1].astype(np.int64)


def _edges(labelling: IntArray) -> tuple[IntArray, IntArray] | None:
    """Pairs of items that follow each other within one group."""
    order = np.argsort(labelling, kind="stable")
    ranked = labelling[order]
    same = np.flatnonzero((ranked[1:] == ranked[:-1]) & (ranked[1:] >= 0))
    return (order[same], order[same + 1]) if len(same) else None
