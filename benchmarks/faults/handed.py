"""What a person hands over beside the data, made of a training of our own: its log, or its predictions.

The training is a small network on the features of one backbone: seconds, and as good as the known-good model where
nothing is wrong with it.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from zoo.catalog import card
from zoo.data import Dataset, read
from zoo.features import embed

Rung = Literal["log", "predictions"]


@dataclass(frozen=True, kw_only=True)
class Training:
    """How the small network is trained; as it stands, healthy.

    Attributes:
        part: Pictures that it learns from; all where ``None``.
        rotated: How many classes go by the next one's name in the predictions.
        overstated: Added to the accuracy that is stated.
    """

    rate: float = 1e-3
    optimizer: str = "adam"
    epochs: int = 25
    width: int = 128
    decay: float = 1e-4
    dropout: float = 0.3
    part: int | None = None
    rotated: int = 0
    overstated: float = 0.0


@dataclass(frozen=True, kw_only=True)
class HandedFault:
    """A family of trainings that went wrong, one for each severity, from mild to harsh.

    Attributes:
        measured: Whether the cost shows in the accuracy; a wrong figure always counts.
    """

    name: str
    causes: tuple[str, ...]
    rung: Rung
    trainings: tuple[Training, ...]
    measured: bool = True


def _fault(name: str, causes: str, rung: Rung, *trainings: Training, measured: bool = True) -> HandedFault:
    return HandedFault(name=name, causes=tuple(causes.split()), rung=rung, trainings=trainings, measured=measured)


HEALTHY = Training()
_SGD = replace(HEALTHY, optimizer="sgd")
FAULTS = (
    _fault("log-rate-high", "learning-rate", "log", *(replace(_SGD, rate=r, dropout=0.0) for r in (3.0, 100.0))),
    _fault("log-rate-low", "learning-rate too-few-epochs", "log", *(replace(_SGD, rate=r) for r in (1e-4, 1e-6))),
    _fault("log-epochs-few", "too-few-epochs learning-rate", "log",
           *(replace(HEALTHY, epochs=e, rate=1e-4, dropout=0.0) for e in (6, 4))),
    _fault("log-narrow", "capacity", "log", *(replace(HEALTHY, width=w, dropout=0.0, epochs=60) for w in (2, 1))),
    _fault("log-decay", "capacity regularisation", "log", *(replace(HEALTHY, decay=d, epochs=40) for d in (5.0, 50.0))),
    _fault("outputs-rotated", "label-map", "predictions", *(replace(HEALTHY, rotated=n) for n in (2, 1000))),
    _fault("learnt-by-heart", "overfitting", "log",
           *(replace(HEALTHY, part=p, width=512, dropout=0.0, decay=0.0, epochs=80) for p in (60, 30))),
    _fault("score-overstated", "evaluation", "predictions", *(replace(HEALTHY, overstated=o) for o in (0.04, 0.1)),
           measured=False),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What came of it.

    Attributes:
        rows: Epoch, losses and accuracies.
        predicted: The class given to each validation picture, and ``paths`` of those.
        accuracy: On the validation pictures, from the predictions as handed over.
    """

    rows: list[tuple[float, ...]] = field(repr=False)
    predicted: list[str] = field(repr=False)
    paths: list[str] = field(repr=False)
    accuracy: float

    def write_log(self, path: Path) -> Path:
        """As a CSV such as Keras writes."""
        return _write(path, ("epoch", "train_loss", "val_loss", "train_acc", "val_acc"), self.rows)

    def write_predictions(self, path: Path) -> Path:
        """As a CSV of paths and classes."""
        return _write(path, ("path", "predicted"), zip(self.paths, self.predicted, strict=True))


def train(folder: Path, backbone: str, training: Training, seed: int) -> Trained:
    """Train on the folder's training pictures and predict its validation pictures."""
    found = embed(read(folder), [card(backbone)])
    dataset, matrix = found.dataset, np.array(found.matrix(backbone), dtype=np.float32)
    learnt, judged = dataset.indices("train"), dataset.indices("val")
    torch.manual_seed(seed)
    learnt = np.random.default_rng(seed).permutation(learnt)[: training.part]
    mean, spread = matrix[learnt].mean(axis=0), matrix[learnt].std(axis=0) + 1e-3
    x, y = torch.from_numpy((matrix - mean) / spread), torch.from_numpy(dataset.labels)
    model = nn.Sequential(
        nn.Linear(x.shape[1], training.width),
        nn.ReLU(),
        nn.Dropout(training.dropout),
        nn.Linear(training.width, len(dataset.classes)),
    )
    rows = _fit(model, (x[learnt], y[learnt]), (x[judged], y[judged]), training)
    with torch.no_grad():
        given = model(x[judged]).argmax(1).numpy()
    given = _rotated(given, training.rotated, len(dataset.classes))
    return Trained(
        rows=rows,
        predicted=[dataset.classes[label] for label in given],
        paths=_paths(dataset, judged),
        accuracy=float((given == dataset.labels[judged]).mean()),
    )


def _fit(
    model: nn.Module,
    learnt: tuple[torch.Tensor, torch.Tensor],
    judged: tuple[torch.Tensor, torch.Tensor],
    training: Training,
) -> list[tuple[float, ...]]:
    if training.optimizer == "adam":
        optimizer = torch.optim.AdamW(model.parameters(), lr=training.rate, weight_decay=training.decay)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=training.rate, momentum=0.9)
    loss_fn, rows = nn.CrossEntropyLoss(), []
    for epoch in range(1, training.epochs + 1):
        model.train()
        losses, right = [], 0
        for part in torch.randperm(len(learnt[0])).split(32):
            outputs = model(learnt[0][part])
            loss = loss_fn(outputs, learnt[1][part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
            right += int((outputs.argmax(1) == learnt[1][part]).sum())
        model.eval()
        with torch.no_grad():
            outputs = model(judged[0])
        accuracy = float((outputs.argmax(1) == judged[1]).float().mean())
        held_loss = float(loss_fn(outputs, judged[1]))
        rows.append((epoch, float(np.mean(losses)), held_loss, right / len(learnt[0]), accuracy))
    return rows


def _rotated(given: np.ndarray, count: int, classes: int) -> np.ndarray:
    """The first ``count`` classes under the next one's name, the last of them under the first's."""
    moved = min(count, classes)
    return np.where(given < moved, (given + 1) % max(1, moved), given) if moved else given


def _paths(dataset: Dataset, rows: np.ndarray) -> list[str]:
    return [dataset.samples[int(row)].path for row in rows]


def _write(path: Path, head: tuple[str, ...], rows: object) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(head)
        writer.writerows(rows)  # type: ignore[arg-type]
    return path
