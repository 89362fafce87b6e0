"""Folders of pictures for a command, laid out as the person's own data is."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from diagnose.experiments import render_digits
from zoo.data import SPLITS, Dataset, Sample, split
from zoo.data.dataset import IntArray


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the person's pictures lie: ``CLASS/...``, or ``SPLIT/CLASS/...``.

    Attributes:
        splits: Folder of each split; empty where the person's command makes the splits.
        folders: Folder of each class, by class number.
    """

    splits: dict[str, str]
    folders: tuple[str, ...]

    def path(self, sample: Sample, name: str) -> str:
        """Where a picture of this sample's class and split goes."""
        parts = (self.splits[sample.split or "train"],) if self.splits else ()
        return "/".join((*parts, self.folders[sample.label], name))


def layout_of(dataset: Dataset) -> Layout:
    """The layout of a data set; ``train/CLASS`` and ``val/CLASS`` where it lies in no folders of classes."""
    depth = int(dataset.given_splits)
    parts = [PurePosixPath(sample.path).parts for sample in dataset.samples]
    plain = Layout(splits={"train": "train", "val": "val", "test": "test"}, folders=dataset.classes)
    if any(len(p) < depth + 2 for p in parts):
        return plain
    names: dict[int, set[str]] = {}
    for sample, p in zip(dataset.samples, parts, strict=True):
        names.setdefault(sample.label, set()).add(p[depth])
    found = {label: next(iter(folders)) for label, folders in names.items() if len(folders) == 1}
    if len(found) != len(names) or len(set(found.values())) != len(found):
        return plain
    folders = tuple(found.get(label, name) for label, name in enumerate(dataset.classes))
    if not depth:
        return Layout(splits={}, folders=folders)
    used: dict[str, str] = {s.split: p[0] for s, p in zip(dataset.samples, parts, strict=True) if s.split is not None}
    return Layout(splits={"train": "train", "val": "val", "test": "test", **used}, folders=folders)


def subset(dataset: Dataset, train: int, held_out: int, seed: int) -> Dataset:
    """At most so many pictures of training and of validation (else test), drawn at random, splits made where need be."""
    whole = dataset if dataset.given_splits else split(dataset, seed=seed)
    held = whole.indices("val") if len(whole.indices("val")) else whole.indices("test")
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(rows)[:most] for rows, most in ((whole.indices("train"), train), (held, held_out))]
    return whole.select(np.sort(np.concatenate(chosen)))


def tiny(dataset: Dataset, *, each: int, copies: int) -> Dataset:
    """``each`` training pictures of every class, ``copies`` times over, and the same ones to be judged on."""
    rows = np.concatenate([_first(dataset, label, each) for label in range(len(dataset.classes))])
    samples = [replace(dataset.samples[i], split="train") for i in rows for _ in range(copies)]
    judged = [replace(dataset.samples[i], split="val") for i in rows]
    return replace(dataset, samples=(*samples, *judged))


def _first(dataset: Dataset, label: int, each: int) -> IntArray:
    return np.flatnonzero((dataset.labels == label) & np.isin(np.arange(len(dataset)), dataset.indices("train")))[:each]


def shuffled(dataset: Dataset, seed: int) -> Dataset:
    """The same pictures under labels that were shuffled within each split."""
    labels = dataset.labels.copy()
    rng = np.random.default_rng(seed)
    for name in SPLITS:
        rows = dataset.indices(name)
        labels[rows] = rng.permutation(labels[rows])
    samples = tuple(replace(s, label=int(label)) for s, label in zip(dataset.samples, labels, strict=True))
    return replace(dataset, samples=samples)


def lay_out(dataset: Dataset, layout: Layout, folder: Path) -> Dataset:
    """Copy the pictures into a new folder; the data set as it lies there, its samples in the same order."""
    samples = []
    for number, sample in enumerate(dataset.samples):
        path = layout.path(sample, f"{number:06d}{PurePosixPath(sample.path).suffix.lower()}")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(dataset.file(sample), target)
        # Without folders of splits the command makes its own: whatever it predicts, it held out.
        samples.append(replace(sample, path=path, split=sample.split if layout.splits else None))
    return replace(dataset, root=folder, samples=tuple(samples))


def digits_like(dataset: Dataset, folder: Path, *, train: int, held_out: int) -> Dataset:
    """The positive control's digits, written to ``folder``, split, under the person's class names.

    As many digits as there are classes: a script may have names and their number written into it.
    """
    digits = render_digits(folder, 1797)
    count = min(len(digits.classes), len(dataset.classes))
    few = replace(digits.select(np.flatnonzero(digits.labels < count)), classes=dataset.classes)
    return subset(few, train, held_out, 0)


def held_out(dataset: Dataset, rows: Sequence[int] | IntArray) -> IntArray:
    """Those of the rows that a model should be judged on: val and test where there are splits on the disk."""
    judged = np.concatenate([dataset.indices("val"), dataset.indices("test")])
    kept = np.intersect1d(rows, judged)
    return kept if len(kept) else np.asarray(rows, dtype=np.int64)
