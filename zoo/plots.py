"""Plots of a run, as matplotlib figures. Nothing here computes or writes."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zoo.job import Row
from zoo.metrics import FloatArray, IntArray

_BLUE, _ORANGE, _GREY = "#2563eb", "#d97706", "#94a3b8"


def curves(rows: Sequence[Row]) -> Figure:
    """Losses and validation accuracy by epoch, with the probe as a line to beat."""
    epochs = [row for row in rows if row.name == "epoch"]
    probe = next((row for row in rows if row.name == "probe"), None)
    figure = Figure(figsize=(9, 3.2))
    loss, accuracy = figure.subplots(1, 2)
    numbers = [row.epoch for row in epochs]
    loss.plot(numbers, [row.train_loss for row in epochs], color=_ORANGE, marker=".", label="training")
    loss.plot(numbers, [row.val_loss for row in epochs], color=_BLUE, marker=".", label="validation")
    accuracy.plot(numbers, [row.val_accuracy for row in epochs], color=_BLUE, marker=".", label="fine-tuned")
    if probe is not None:
        accuracy.axhline(probe.val_accuracy, color=_GREY, linestyle="--", label="frozen probe")
    for axes, title in ((loss, "loss (nats)"), (accuracy, "validation accuracy")):
        _dress(axes, title=title, xlabel="epoch")
        axes.legend(frameon=False)
    return figure


def confusion(matrix: IntArray, classes: Sequence[str]) -> Figure:
    """The confusion matrix, each row as shares of its true class."""
    side = min(12.0, 2.5 + 0.42 * len(classes))
    figure = Figure(figsize=(side, side))
    axes = figure.subplots()
    axes.imshow(matrix / matrix.sum(axis=1, keepdims=True).clip(min=1), cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(classes))
    names = [name if len(name) <= 20 else name[:19] + "…" for name in classes]
    axes.set_xticks(ticks, names, rotation=60, ha="right", parse_math=False)
    axes.set_yticks(ticks, names, parse_math=False)
    if len(classes) <= 25:
        for i in ticks:
            for j in ticks:
                share = matrix[i, j] / max(1, matrix[i].sum())
                if matrix[i, j]:
                    axes.text(
                        j, i, str(matrix[i, j]), ha="center", va="center", color="white" if share > 0.5 else "black"
                    )
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    return figure


def reliability(bins: FloatArray) -> Figure:
    """Accuracy against confidence; on the diagonal the model knows how sure it may be."""
    figure = Figure(figsize=(4.2, 3.2))
    axes = figure.subplots()
    used = bins[bins[:, 2] > 0]
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--")
    axes.scatter(used[:, 0], used[:, 1], s=20 + 400 * used[:, 2], color=_BLUE, alpha=0.7, clip_on=False)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    _dress(axes, title="accuracy by confidence", xlabel="confidence")
    return figure


def _dress(axes: Axes, *, title: str, xlabel: str) -> None:
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel(xlabel)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
