"""What the person's own model says of the images, whatever framework it was made with."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zoo.data import Dataset
from zoo.data.names import printable
from zoo.errors import DataError
from zoo.neighbours import IntArray

_PATH = ("path", "file", "filename", "file_name", "filepath", "image", "image_path")
_PREDICTED = ("predicted", "prediction", "pred", "predicted_label", "predicted_class", "y_pred")
_LABEL = ("label", "target", "class", "y_true", "true", "actual")
_PROBABILITY = ("prob:", "prob_", "probability:", "p:")
_FORMAT = "The file must be a CSV with the columns path,label,predicted and, if you like, prob:CLASS for every class."


@dataclass(frozen=True, kw_only=True)
class OwnPredictions:
    """The person's predictions, aligned with the samples of a data set.

    Attributes:
        predicted: Class number for each sample, ``(n,)``; -1 where the file says nothing of it.
        probabilities: ``(n, C)``, rows sum to 1, NaN where unknown; ``None`` where the file has no probabilities.
        stated: The label that the file itself gives, ``(n,)``; -1 where it gives none.
        unmatched: Paths in the file that are not in the data.
    """

    predicted: IntArray
    probabilities: npt.NDArray[np.float32] | None = None
    stated: IntArray | None = None
    unmatched: tuple[str, ...] = ()

    @property
    def known(self) -> IntArray:
        """Positions of the samples that the file speaks of."""
        return np.flatnonzero(self.predicted >= 0)

    def select(self, keep: IntArray) -> OwnPredictions:
        """The predictions for some of the samples."""
        return replace(
            self,
            predicted=self.predicted[keep],
            probabilities=None if self.probabilities is None else self.probabilities[keep],
            stated=None if self.stated is None else self.stated[keep],
        )


def read_all_predictions(files: Sequence[Path], dataset: Dataset, *, lenient: bool = False) -> OwnPredictions | None:
    """The predictions of several files that speak of different samples, as one; ``None`` where there are no files."""
    if not files:
        return None
    first, *others = [read_predictions(file, dataset, lenient=lenient) for file in files]
    for other in others:
        first = _merged(first, other)
    return first


def _merged(first: OwnPredictions, second: OwnPredictions) -> OwnPredictions:
    new = second.predicted >= 0
    probabilities = first.probabilities
    if probabilities is not None and second.probabilities is not None:
        probabilities = np.where(new[:, None], second.probabilities, probabilities)
    stated = first.stated
    if stated is not None and second.stated is not None:
        stated = np.where(new, second.stated, stated)
    return OwnPredictions(
        predicted=np.where(new, second.predicted, first.predicted),
        probabilities=probabilities,
        stated=stated,
        unmatched=(*first.unmatched, *second.unmatched),
    )


def read_predictions(path: Path, dataset: Dataset, *, lenient: bool = False) -> OwnPredictions:
    """Read ``path,label,predicted[,prob:CLASS...]`` and align it with the data.

    Paths may be absolute, relative to the data, or bare names where those are unique. Labels are class names or numbers.

    Args:
        path: The CSV file.
        dataset: The data it speaks of.
        lenient: Whether most of its paths may be missing from the data (files that could not be read, say).

    Raises:
        DataError: The file is not there, lacks a column, speaks of other files or other classes, or holds probabilities that
            are none.
    """
    header, rows = _table(path)
    place = _locate([row[_column(header, _PATH, path)] for row in rows], dataset, path, lenient=lenient)
    found = np.flatnonzero(place >= 0)
    predicted = _spread(_labels(rows, _column(header, _PREDICTED, path), dataset, path), place, len(dataset))
    labelled = next((header.index(name) for name in _LABEL if name in header), None)
    stated = (
        None if labelled is None else _spread(_labels(rows, labelled, dataset, path, blank=True), place, len(dataset))
    )
    probabilities = _probabilities(header, rows, dataset, path)
    if probabilities is not None:
        aligned = np.full((len(dataset), len(dataset.classes)), np.nan, dtype=np.float32)
        aligned[place[found]] = probabilities[found]
        probabilities = aligned
    unmatched = tuple(rows[i][_column(header, _PATH, path)] for i in np.flatnonzero(place < 0))
    return OwnPredictions(predicted=predicted, probabilities=probabilities, stated=stated, unmatched=unmatched)


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The predictions {printable(str(path))} cannot be read: {error}.", remedy=_FORMAT) from error
    try:
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
    except csv.Error as error:
        raise DataError(f"{printable(str(path))} is no CSV file: {error}.", remedy=_FORMAT) from error
    if len(rows) < 2:
        raise DataError(f"{printable(str(path))} holds no predictions.", remedy=_FORMAT)
    header = [name.strip() for name in rows[0]]
    short = next((number for number, row in enumerate(rows[1:], start=2) if len(row) != len(header)), None)
    if short is not None:
        raise DataError(f"Row {short} of {printable(str(path))} has not {len(header)} columns.", remedy=_FORMAT)
    return [name if name.startswith(_PROBABILITY) else name.lower() for name in header], rows[1:]


def _column(header: Sequence[str], names: Sequence[str], path: Path) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    known = ", ".join(printable(name) for name in header[:8])
    raise DataError(f"{printable(str(path))} has no column {names[0]!r}, only: {known}.", remedy=_FORMAT)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.strip().replace("\\", "/").split("/") if part not in {"", "."})


def _locate(paths: Sequence[str], dataset: Dataset, source: Path, *, lenient: bool) -> IntArray:
    """The sample that each row speaks of, ``(rows,)``; -1 for none. The longest unique ending of the path decides."""
    endings: dict[tuple[str, ...], int] = {}
    for position, sample in enumerate(dataset.samples):
        parts = _parts(sample.path)
        for length in range(1, len(parts) + 1):
            ending = parts[-length:]
            endings[ending] = position if ending not in endings else -1
    whole = {_parts(sample.path): position for position, sample in enumerate(dataset.samples)}
    place = np.full(len(paths), -1, dtype=np.int64)
    for row, path in enumerate(paths):
        parts = _parts(path)
        candidates = [whole.get(parts[-length:], -1) for length in range(len(parts), 0, -1)]
        candidates += [endings.get(parts[-length:], -1) for length in range(len(parts), 0, -1)]
        place[row] = next((candidate for candidate in candidates if candidate >= 0), -1)
    missing = np.flatnonzero(place < 0)
    if len(missing) * 2 > len(place) and not lenient:
        raise DataError(
            f"{len(missing)} of {len(place)} paths in {printable(str(source))} are not in the data, "
            f"the first: {printable(paths[missing[0]])}.",
            remedy=f"Paths must be like those of the data, such as: {printable(dataset.samples[0].path)}",
        )
    repeated = np.flatnonzero(np.bincount(place[place >= 0], minlength=len(dataset)) > 1)
    if len(repeated):
        name = printable(dataset.samples[int(repeated[0])].path)
        raise DataError(f"{printable(str(source))} speaks of {name} more than once.", remedy="Keep one row a picture.")
    return place


def _labels(
    rows: Sequence[Sequence[str]], column: int, dataset: Dataset, path: Path, *, blank: bool = False
) -> IntArray:
    """Class numbers of a column, ``(rows,)``; names first, then numbers; -1 for blanks where they are allowed."""
    number = {name: label for label, name in enumerate(dataset.classes)}
    values = [row[column].strip() for row in rows]
    if not any(value in number for value in values if value):
        number = {str(label): label for label in range(len(dataset.classes))}
        values = [value.removesuffix(".0") for value in values]
    if blank:
        number = {**number, "": -1}
    unknown = sorted({value for value in values if value not in number})
    if unknown:
        listed = ", ".join(repr(printable(value)) for value in unknown[:5])
        known = ", ".join(printable(name) for name in dataset.classes[:8])
        raise DataError(
            f"{printable(str(path))} names classes that the data does not have: {listed}.",
            remedy=f"The data's classes are: {known}{', ...' if len(dataset.classes) > 8 else ''}",
        )
    return np.array([number[value] for value in values], dtype=np.int64)


def _spread(labels: IntArray, place: IntArray, n: int) -> IntArray:
    out = np.full(n, -1, dtype=np.int64)
    out[place[place >= 0]] = labels[place >= 0]
    return out


def _probabilities(
    header: Sequence[str], rows: Sequence[Sequence[str]], dataset: Dataset, path: Path
) -> npt.NDArray[np.float32] | None:
    """The columns ``prob:CLASS``, ``(rows, C)``; ``None`` where there are none."""
    columns = {
        name.removeprefix(prefix): index
        for index, name in enumerate(header)
        for prefix in _PROBABILITY
        if name.startswith(prefix)
    }
    if not columns:
        return None
    lacking = [name for name in dataset.classes if name not in columns]
    if lacking:
        raise DataError(
            f"{printable(str(path))} has probabilities, but none for: {', '.join(map(printable, lacking[:5]))}.",
            remedy="Give a column prob:CLASS for every class, or none at all.",
        )
    order = [columns[name] for name in dataset.classes]
    try:
        values = np.array([[float(row[index]) for index in order] for row in rows], dtype=np.float32)
    except ValueError as error:
        raise DataError(f"A probability in {printable(str(path))} is no number: {error}.", remedy=_FORMAT) from error
    good = np.isfinite(values).all(axis=1) & (values >= -1e-4).all(axis=1) & (np.abs(values.sum(axis=1) - 1) < 0.02)
    if not good.all():
        row = int(np.flatnonzero(~good)[0]) + 2
        raise DataError(
            f"The probabilities in row {row} of {printable(str(path))} are not between 0 and 1 with the sum 1.",
            remedy="Write softmax outputs, not logits; NaN there means that the model itself is broken.",
        )
    return values
