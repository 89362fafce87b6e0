"""What a recipe is given, and what it gives back."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np
import numpy.typing as npt

from zoo.catalog import Card
from zoo.data.dataset import Dataset, IntArray, Split
from zoo.errors import RunError
from zoo.files import write_text
from zoo.predictions import Predictions
from zoo.progress import ProgressCallback
from zoo.registry import Registry
from zoo.run import Run
from zoo.settings import Settings

if TYPE_CHECKING:  # who reads metrics.csv needs no torch
    import torch


@dataclass(frozen=True, kw_only=True)
class Job:
    """One fine-tuning, ready for a recipe.

    Attributes:
        run: Its folder.
        card: The pretrained model.
        dataset: Usable images, every one with a split.
        features: Of the frozen model, ``(n, d)`` float16, one row a sample.
        groups: Number of each sample's group of near-duplicates, ``(n,)``.
        settings: What the person asked for.
        device: A name for ``zoo.devices``.
        offline: Make no network call.
        progress: Told how far the work is.
        say: Told in words what was chosen and found.
    """

    run: Run
    card: Card
    dataset: Dataset
    features: npt.NDArray[np.float16]
    groups: IntArray
    settings: Settings
    device: str
    offline: bool
    progress: ProgressCallback
    say: Callable[[str], None]

    def rows(self, split: Split) -> tuple[npt.NDArray[np.float16], IntArray]:
        """Features and labels of one split."""
        indices = self.dataset.indices(split)
        return self.features[indices], self.dataset.labels[indices]

    def class_weights(self) -> npt.NDArray[np.float32]:
        """Weight of each class, ``(classes,)``: of mean 1 over the training images, all 1 unless asked for."""
        classes = len(self.dataset.classes)
        if not self.settings.class_weights:
            return np.ones(classes, dtype=np.float32)
        counts = np.bincount(self.rows("train")[1], minlength=classes)
        present = max(1, int((counts > 0).sum()))
        return np.asarray(counts.sum() / (present * np.maximum(counts, 1)), dtype=np.float32)

    def predictions(self, split: Split, probabilities: npt.NDArray[np.float32]) -> Predictions:
        """The split's images beside what a model says of them."""
        chosen = self.dataset.select(self.dataset.indices(split))
        return Predictions(
            paths=tuple(s.path for s in chosen.samples),
            classes=self.dataset.classes,
            labels=chosen.labels,
            probabilities=probabilities,
        )

    def settle(self, settings: Settings) -> Job:
        """The same job with everything chosen, and noted in ``config.yaml``."""
        self.run.write_config(replace(self.run.config, settings=settings))
        return replace(self, settings=settings)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of ``metrics.csv``: a model that was scored on validation.

    Attributes:
        name: ``probe``, ``epoch``, ``soup`` or ``interpolation``; the last with its share of the fine-tuned weights.
        epoch: Epochs trained, 0 for the probe.
        step: Optimizer steps.
        learning_rate: At that moment.
        train_loss: Mean over the epoch, nats.
        val_loss: Nats.
        val_accuracy: 0 to 1.
        seconds: Since training began.
        shipped: Whether these are the run's best weights.
    """

    name: str
    val_loss: float
    val_accuracy: float
    epoch: int = 0
    step: int = 0
    learning_rate: float | None = None
    train_loss: float | None = None
    seconds: float | None = None
    shipped: bool = False


def write_rows(folder: Path, rows: Sequence[Row]) -> None:
    """Replace ``metrics.csv``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Row))
    for row in rows:
        writer.writerow("" if value is None else _cell(value) for value in astuple(row))
    write_text(folder / "metrics.csv", text.getvalue())


def read_rows(folder: Path) -> list[Row]:
    """What ``write_rows`` wrote; nothing where there is no such file.

    Raises:
        RunError: The file is damaged.
    """
    path = folder / "metrics.csv"
    if not path.exists():
        return []
    kinds = get_type_hints(Row)
    try:
        lines = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        return [Row(**{name: _value(kinds[name], text) for name, text in line.items()}) for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path} is damaged ({error}).", remedy=f"The report can do without: rm {path}; zoo report {folder}"
        ) from error


def _cell(value: object) -> str:
    return (
        {True: "yes", False: "no"}[value]
        if isinstance(value, bool)
        else f"{value:.6g}"
        if isinstance(value, float)
        else str(value)
    )


def _value(kind: object, text: str) -> Any:
    if kind is bool:
        return text == "yes"
    if kind in (str, int):
        return kind(text)
    return float(text) if text else None


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What a recipe gives back.

    Attributes:
        weights: State dict of the model to ship.
        predictions: On every split that is scored.
        rows: Everything that was scored on validation; one is shipped.
        notes: Sentences for the report.
    """

    weights: dict[str, torch.Tensor]
    predictions: dict[Split, Predictions]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


#: A way to fine-tune.
Recipe = Callable[[Job], Fitted]
RECIPES: Registry[Recipe] = Registry("recipe", package="zoo.recipes")
