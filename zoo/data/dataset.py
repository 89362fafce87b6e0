"""What a person's data is, once read: files, labels, splits, and what was left out and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One labelled image.

    Attributes:
        path: Path relative to the data set's root, with ``/`` between its parts; what people see and sort by.
        label: Index into ``Dataset.classes``; -1 where the label is not known.
        split: Where the sample belongs; ``None`` until the splits are made.
        group: Samples of one group (a patient, a film, a burst) never straddle a split; ``None`` is a group of its own.
    """

    path: str
    label: int
    split: Split | None = None
    group: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """A file that cannot be used, with the reason in words a person understands."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Labelled images on a disk. Holds no pixels.

    Attributes:
        root: The folder that every sample's path is relative to.
        samples: In a stable order (by path).
        classes: Class names; a sample's label is an index into them. Sorted by name.
        skipped: Files left out so far.
        name: A short name for titles and run folders.
        given_splits: Whether the splits came with the data (they are then respected).
        made_validation: Whether the validation images were taken from the training images by ``split``.
    """

    root: Path
    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    name: str = "data"
    given_splits: bool = False
    made_validation: bool = False
    warnings: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def labels(self) -> IntArray:
        """The labels of all samples, shape ``(n,)``."""
        return np.fromiter((s.label for s in self.samples), dtype=np.int64, count=len(self.samples))

    def file(self, sample: Sample) -> Path:
        """Where the image lies on the disk."""
        return self.root / sample.path

    def indices(self, split: Split) -> IntArray:
        """Positions of the samples of one split, shape ``(m,)``."""
        return np.flatnonzero(np.fromiter((s.split == split for s in self.samples), dtype=bool, count=len(self)))

    def select(self, indices: Sequence[int] | IntArray) -> Dataset:
        """The same data set with these samples only, in this order."""
        return replace(self, samples=tuple(self.samples[int(i)] for i in indices))

    def without(self, skipped: Sequence[Skipped]) -> Dataset:
        """The same data set without the files in ``skipped``, which are added to the list of what was left out."""
        gone = {s.path for s in skipped}
        kept = tuple(s for s in self.samples if s.path not in gone)
        return replace(self, samples=kept, skipped=(*self.skipped, *skipped))
