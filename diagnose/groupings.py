"""What pictures may belong together without being copies: patients, films, bursts; guessed from names, order and times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diagnose.context import Context
from zoo.data.folder import SPLIT_NAMES
from zoo.neighbours import IntArray

_BURST = 30  # seconds between two pictures of one burst at most
_BLOCK = 8  # consecutive files of one class that make a block


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """One way to group the pictures.

    Attributes:
        name: Where it comes from, in words.
        groups: Group number of each picture, ``(n,)``.
    """

    name: str
    groups: IntArray

    @property
    def grouped_share(self) -> float:
        """Share of the pictures that share their group with another."""
        size = np.bincount(self.groups)
        return float((size[self.groups] > 1).mean())


def groupings(context: Context) -> Iterator[Grouping]:
    """The groupings that the paths, the file order and the capture times suggest; none twice, none that says nothing."""
    seen: list[IntArray] = []
    for grouping in (*_by_name(context), *_by_time(context), *_by_order(context)):
        count = int(grouping.groups.max()) + 1
        telling = grouping.grouped_share >= 0.5 and count >= 2 * context.num_classes and count >= 10
        if telling and not any(np.array_equal(grouping.groups, other) for other in seen):
            seen.append(grouping.groups)
            yield grouping


def _numbered(keys: list[tuple[str, ...]]) -> IntArray:
    return np.unique(np.array(["\0".join(key) for key in keys]), return_inverse=True)[1].astype(np.int64)


def _by_name(context: Context) -> Iterator[Grouping]:
    """The name without its last number, without its last two; the folder below the class."""
    names = [path.rsplit("/", 1)[-1].rsplit(".", 1)[0] for path in context.paths]
    last = re.compile(r"[-_ .]*(?:frame|img|image|crop|shot|f|t|v)?[-_ .]*\d+$", re.IGNORECASE)
    once = [last.sub("", name) for name in names]
    yield Grouping(name="file names but for their last number", groups=_numbered([(name,) for name in once]))
    folders = [path.split("/")[:-1] for path in context.paths]
    depth = min(len(folder) for folder in folders)
    if any(len(folder) > depth for folder in folders) or depth > 1:
        yield Grouping(name="folders", groups=_numbered([tuple(folder[-1:]) for folder in folders]))


def _by_time(context: Context) -> Iterator[Grouping]:
    """Pictures of one camera taken within seconds of each other."""
    captured, camera = context.statistics["captured"], context.statistics["camera"]
    known = captured >= 0
    if known.mean() < 0.5:
        return
    order = np.lexsort((captured, camera))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(captured[order]) > _BURST) | (np.diff(camera[order].astype(np.int64)) != 0) | ~known[order][1:]
    groups = np.empty(len(order), dtype=np.int64)
    groups[order] = np.cumsum(new) - 1
    yield Grouping(name="capture times", groups=groups)


def _by_order(context: Context) -> Iterator[Grouping]:
    """Blocks of consecutive files of one class, where neighbours in the order are more alike than others of the class.

    Files stand in the order that they had before they were put into the folders of a split.
    """
    order = np.array(sorted(range(len(context.dataset)), key=lambda i: _natural(_unsplit(context.paths[i]))))
    if order_dependence(context, order) < 0.01:
        groups = np.empty(len(order), dtype=np.int64)
        labels = context.labels[order]
        place = np.zeros(len(order), dtype=np.int64)
        for label in np.unique(labels):
            place[labels == label] = np.arange((labels == label).sum())
        groups[order] = _numbered(
            [(str(label), str(block)) for label, block in zip(labels, place // _BLOCK, strict=True)]
        )
        yield Grouping(name="the order of the files", groups=groups)


def order_dependence(context: Context, order: IntArray) -> float:
    """How surely consecutive files of one class look more alike than others of that class: a p value.

    The statistic is the mean cosine similarity between each picture and the next of its class; its distribution under no
    dependence comes from 99 shuffles within the classes and the parts of a given split, which may look different.
    """
    x = context.reduced(context.best)
    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    by_class = order[np.argsort(context.labels[order], kind="stable")]
    label, stratum = context.labels[by_class], strata(context)[by_class]
    same = label[1:] == label[:-1]
    rng = np.random.default_rng(context.seed)

    def statistic(rows: IntArray) -> float:
        return float(np.einsum("ij,ij->i", unit[rows[1:]], unit[rows[:-1]])[same].mean())

    if not same.any():
        return 1.0
    observed = statistic(by_class)
    chance = np.array([statistic(by_class[shuffled_within(stratum, rng)]) for _ in range(99)])
    spread = float(chance.std()) + 1e-12
    far = observed - chance.mean() > 5 * spread and observed - chance.mean() > 0.02
    return float((1 + (chance >= observed).sum()) / 100) / (10 if far else 1)


def strata(context: Context) -> IntArray:
    """Class and, where a split was given, part of each picture, ``(n,)``."""
    return 2 * context.labels.astype(np.int64) + (context.splits_given & context.is_held_out)


def shuffled_within(stratum: IntArray, rng: np.random.Generator) -> IntArray:
    """Positions shuffled among those of the same stratum, ``(n,)``."""
    out = np.empty(len(stratum), dtype=np.int64)
    out[np.argsort(stratum, kind="stable")] = np.lexsort((rng.random(len(stratum)), stratum))
    return out


def _unsplit(path: str) -> str:
    """The path without the folders that say to which part of a split it belongs."""
    *folders, name = path.split("/")
    return "/".join([*(folder for folder in folders if folder.strip().lower() not in SPLIT_NAMES), name])


def _natural(path: str) -> tuple[tuple[int, int | str], ...]:
    """A sorting key under which ``img10`` comes after ``img9``."""
    parts = re.split(r"(\d+)", path)
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts)


def straddling(groups: IntArray, train: IntArray, held_out: IntArray) -> npt.NDArray[np.bool_]:
    """Which held-out pictures have one of their group among the training ones, ``(len(held_out),)``."""
    return np.isin(groups[held_out], groups[train])


def links(groups: IntArray) -> IntArray:
    """Pairs that connect the members of each group, ``(m, 2)``."""
    order = np.argsort(groups, kind="stable")
    same = groups[order][1:] == groups[order][:-1]
    return np.stack([order[:-1][same], order[1:][same]], axis=1)
