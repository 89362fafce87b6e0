"""The report of a run: one HTML file that needs nothing else, and the plots as files."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib import rc_context
from PIL import Image

from zoo import plots
from zoo.data.dataset import Dataset
from zoo.data.decode import UnusableImage, decode
from zoo.data.files import read_file
from zoo.data.names import printable
from zoo.files import replacing, write_text
from zoo.job import Row, read_rows
from zoo.metrics import IntArray, Scores, calibration_bins, confusion_matrix, per_class
from zoo.outcome import read_outcome
from zoo.predictions import Predictions
from zoo.run import Run

_THUMBNAIL = 128
_MISTAKES = 24
_PER_CELL = 8
_MOST_PICTURES = 240


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image in the report: a data URI (``None`` where the file is gone) and what was said of it."""

    uri: str | None
    path: str
    label: str
    predicted: str
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of the confusion matrix with the images it counts."""

    row: int
    column: int
    count: int
    share: float
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """One line of the per-class table."""

    name: str
    count: int
    precision: float
    recall: float
    f1: float


def write_report(run: Run) -> Path:
    """Write ``report.html`` and ``plots/`` from what is in the folder, and give the page's path.

    Raises:
        RunError: The run has no predictions yet, or a file of it is damaged.
        StorageError: The disk is full or may not be written.
    """
    dataset = run.dataset()
    figures: dict[str, Scores] = {}
    for name in ("test", "val"):
        if (run.path / f"predictions-{name}.csv").exists():
            figures[name] = run.predictions(name).scores()
    shown = run.predictions("test" if "test" in figures else "val")
    matrix = confusion_matrix(shown.labels, shown.predicted, len(run.classes))
    rows = read_rows(run.path)
    drawn = _draw(run, shown, matrix, rows)
    gallery = _Gallery(dataset, shown)
    page = _TEMPLATES.get_template("report.html").render(
        run=run,
        dataset=dataset,
        figures=figures,
        split="test" if "test" in figures else "validation",
        rows=rows,
        plots=drawn,
        cells=_cells(matrix, shown, gallery),
        classes=_class_rows(matrix, run.classes),
        mistakes=gallery.pictures(_worst_mistakes(shown)),
        notes=read_outcome(run.path).notes,
        printable=printable,
        command=_command(run),
    )
    write_text(run.path / "report.html", page)
    return run.path / "report.html"


def _command(run: Run) -> str:
    """The command line that makes the run again: what was asked for and what was chosen."""
    asked = [f"--set {name}={value}" for name, value in run.config.settings.chosen().items() if value is not None]
    data = run.config.data.replace("'", "'\\''")
    return " \\\n    ".join([f"zoo finetune {run.config.model} '{data}'", *asked])


class _Gallery:
    """Thumbnails of the predictions' images, at most ``_MOST_PICTURES`` of them."""

    def __init__(self, dataset: Dataset, predictions: Predictions) -> None:
        self._dataset, self._predictions = dataset, predictions
        self._left = _MOST_PICTURES
        self._made: dict[int, Picture] = {}

    def pictures(self, indices: Sequence[int] | IntArray) -> tuple[Picture, ...]:
        """The images at these positions; fewer once the page is full."""
        return tuple(self._picture(int(i)) for i in indices if self._left > 0 or int(i) in self._made)

    def _picture(self, index: int) -> Picture:
        if index not in self._made:
            self._left -= 1
            p = self._predictions
            guess = int(p.predicted[index])
            self._made[index] = Picture(
                uri=thumbnail(self._dataset.root / p.paths[index], _THUMBNAIL),
                path=printable(p.paths[index]),
                label=p.classes[p.labels[index]],
                predicted=p.classes[guess],
                confidence=float(p.probabilities[index, guess]),
            )
        return self._made[index]


def thumbnail(file: Path, side: int) -> str | None:
    """A small JPEG of an image as a data URI; ``None`` where the file is gone or no picture."""
    try:
        image = decode(read_file(file), short_side=side)
    except UnusableImage:
        return None
    image.thumbnail((side, side), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _worst_mistakes(predictions: Predictions) -> IntArray:
    """Positions of the wrong predictions, the most confident first."""
    wrong = np.flatnonzero((predictions.labels >= 0) & (predictions.predicted != predictions.labels))
    return wrong[np.argsort(-predictions.probabilities[wrong].max(axis=1), kind="stable")][:_MISTAKES]


def _cells(matrix: IntArray, predictions: Predictions, gallery: _Gallery) -> list[list[Cell]]:
    shares = matrix / matrix.sum(axis=1, keepdims=True).clip(min=1)
    confidence = predictions.probabilities.max(axis=1)
    members: dict[tuple[int, int], list[int]] = {}
    for i in np.argsort(-confidence, kind="stable"):
        members.setdefault((int(predictions.labels[i]), int(predictions.predicted[i])), []).append(int(i))
    # Mistakes first: a page with thousands of images shows those rather than what went well.
    order = sorted(members, key=lambda cell: (cell[0] == cell[1], -len(members[cell])))
    pictures = {cell: gallery.pictures(members[cell][:_PER_CELL]) for cell in order}
    n = len(matrix)
    return [
        [
            Cell(row=i, column=j, count=int(matrix[i, j]), share=float(shares[i, j]), pictures=pictures.get((i, j), ()))
            for j in range(n)
        ]
        for i in range(n)
    ]


def _class_rows(matrix: IntArray, classes: Sequence[str]) -> list[ClassRow]:
    figures = zip(classes, matrix.sum(axis=1), *per_class(matrix), strict=True)
    rows = [ClassRow(name=name, count=int(n), precision=p, recall=r, f1=f) for name, n, p, r, f in figures]
    return sorted(rows, key=lambda row: row.f1)


def _draw(run: Run, shown: Predictions, matrix: IntArray, rows: Sequence[Row]) -> dict[str, str]:
    """Write the plots as PNG, and give them as SVG by name."""
    figures = {
        "confusion": plots.confusion(matrix, run.classes),
        "reliability": plots.reliability(calibration_bins(shown.labels, shown.probabilities)),
    }
    if any(row.name == "epoch" for row in rows):
        figures["curves"] = plots.curves(rows)
    drawn = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # class names in any script
        for name, figure in figures.items():
            with replacing(run.path / "plots" / f"{name}.png") as temporary:
                figure.savefig(temporary, format="png", dpi=110, bbox_inches="tight")
            if name != "confusion":  # the page has its own, whose cells open their images
                buffer = io.StringIO()
                with rc_context({"svg.hashsalt": name}):  # the same run gives the same bytes
                    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
                drawn[name] = buffer.getvalue()[buffer.getvalue().index("<svg") :]
    return drawn


_TEMPLATES = Environment(
    loader=PackageLoader("zoo"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_TEMPLATES.filters["percent"] = lambda share: f"{share:.1%}"
