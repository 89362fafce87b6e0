"""Runs side by side: their figures, and which differences between them are more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from zoo.data.dataset import Split
from zoo.errors import OptionError
from zoo.metrics import Scores
from zoo.outcome import read_outcome
from zoo.paired import Difference, difference, together
from zoo.predictions import Predictions
from zoo.run import Run

_SCORED: tuple[Split, ...] = ("test", "val")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One run in the table.

    Attributes:
        path: Its folder.
        model: Name in the catalog.
        recipe: ``probe`` or ``finetune``.
        data: What it was trained on, as the person named it.
        finished: Whether it ended.
        scores: Figures by split, the test images first; empty where the run has not scored anything yet.
        seconds: Time it took, features included; ``None`` where that was not noted.
        size: Of the weights, bytes; ``None`` where there are none yet.
    """

    path: Path
    model: str
    recipe: str
    data: str
    finished: bool
    scores: tuple[tuple[Split, Scores], ...]
    seconds: float | None
    size: int | None


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two runs on the images that both scored.

    Attributes:
        first: Position among the entries; of the two the one with the higher accuracy on the common images.
        second: Likewise.
        split: Which images; ``None`` where the two scored no common image.
        difference: Of the first to the second; ``None`` where there is nothing in common.
        same_folder: Whether both read the images from one folder; else they are matched by name and label alone.
        scored: How many images each of the two scored.
    """

    first: int
    second: int
    split: Split | None
    difference: Difference | None
    same_folder: bool
    scored: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What ``compare`` found: one entry a run, in the order given, and one pair for every two of them."""

    entries: tuple[Entry, ...]
    pairs: tuple[Pair, ...]


def compare(runs: Sequence[str | Path | Run]) -> Comparison:
    """Put runs side by side.

    Two runs are compared image by image on the test images that both scored, or on validation images where they share
    no test image. Images are the same where folder, name and label are; in different folders, where all names and
    labels are. What both scored, neither trained on.

    Args:
        runs: Folders, or opened runs; at least two different ones.

    Raises:
        OptionError: Fewer than two different runs.
        RunError: A folder is no run, or is damaged.
    """
    opened = [run if isinstance(run, Run) else Run.open(run) for run in runs]
    opened = list({run.path: run for run in opened}.values())
    if len(opened) < 2:
        raise OptionError(
            "A comparison takes at least two different runs.",
            remedy="For example: zoo compare runs/*-001 runs/*-002. For one run: zoo evaluate RUN",
        )
    scored = [_Scored(run) for run in opened]
    pairs = [_pair(i, j, scored) for i, j in combinations(range(len(scored)), 2)]
    tested = [pair.difference for pair in pairs if pair.difference is not None]
    adjusted = iter(together(tested))
    pairs = [pair if pair.difference is None else replace(pair, difference=next(adjusted)) for pair in pairs]
    return Comparison(entries=tuple(one.entry() for one in scored), pairs=tuple(pairs))


class _Scored:
    """A run with its predictions."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.predictions: dict[Split, Predictions] = {
            split: run.predictions(split) for split in _SCORED if (run.path / f"predictions-{split}.csv").exists()
        }
        self.root = run.dataset().root

    def entry(self) -> Entry:
        run = self.run
        return Entry(
            path=run.path,
            model=run.config.model,
            recipe=run.config.settings.recipe or "?",
            data=run.config.data,
            finished=run.finished,
            scores=tuple((split, p.scores()) for split, p in self.predictions.items() if (p.labels >= 0).any()),
            seconds=read_outcome(run.path).seconds,
            size=run.weights.stat().st_size if run.weights.is_file() else None,
        )

    def images(self, split: Split) -> dict[tuple[str, str], bool]:
        """Whether the run is right on each labelled image, by its name and label."""
        if split not in self.predictions:
            return {}
        p = self.predictions[split]
        right = p.predicted == p.labels
        names = zip(p.paths, p.labels, right, strict=True)
        return {(path, p.classes[label]): bool(hit) for path, label, hit in names if label >= 0}


def _pair(first: int, second: int, scored: Sequence[_Scored]) -> Pair:
    one, other = scored[first], scored[second]
    same_folder = one.root == other.root
    for split in _SCORED:
        mine, theirs = one.images(split), other.images(split)
        # In another folder a name alone says little: only a whole list of equal names and labels is one data set.
        common = sorted(mine.keys() & theirs.keys()) if same_folder or mine.keys() == theirs.keys() else []
        if not common:
            continue
        right = np.array([[mine[key], theirs[key]] for key in common])
        sizes = (len(mine), len(theirs))
        if right[:, 1].sum() > right[:, 0].sum():
            first, second, right, sizes = second, first, right[:, ::-1], sizes[::-1]
        return Pair(
            first=first,
            second=second,
            split=split,
            difference=difference(right[:, 0], right[:, 1]),
            same_folder=same_folder,
            scored=sizes,
        )
    sizes = (_count(one), _count(other))
    return Pair(first=first, second=second, split=None, difference=None, same_folder=same_folder, scored=sizes)


def _count(scored: _Scored) -> int:
    return sum(len(p.paths) for p in scored.predictions.values())
