"""Predictions of one model for one set of images, and their CSV file."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zoo.errors import DataError
from zoo.files import write_text
from zoo.metrics import Scores, scores

_COLUMNS = ["path", "label", "predicted"]
_PROBABILITY = "prob:"


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a model says of images.

    Attributes:
        paths: One an image.
        classes: Class names; the columns of ``probabilities``.
        labels: True classes, shape ``(n,)``, -1 where not known.
        probabilities: Shape ``(n, num_classes)``, float32, rows sum to 1.
    """

    paths: tuple[str, ...]
    classes: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The most probable class of each image, shape ``(n,)``."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    def scores(self) -> Scores:
        """Figures over the images whose label is known. Needs at least one."""
        known = self.labels >= 0
        return scores(self.labels[known], self.probabilities[known])

    def write(self, path: Path) -> None:
        """Write ``path,label,predicted,prob:CLASS,...`` with one row an image, atomically."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*_COLUMNS, *(_PROBABILITY + name for name in self.classes)])
        for file, label, guess, row in zip(self.paths, self.labels, self.predicted, self.probabilities, strict=True):
            name = self.classes[label] if label >= 0 else ""
            writer.writerow([file, name, self.classes[guess], *(f"{p:.6g}" for p in row)])
        write_text(path, text.getvalue())

    @classmethod
    def read(cls, path: Path) -> Predictions:
        """Read what ``write`` wrote.

        Raises:
            DataError: The file is missing or has other columns.
        """
        try:
            rows = list(
                csv.reader(io.StringIO(path.read_bytes().decode("utf-8", errors="surrogateescape"), newline=""))
            )
            header, body = rows[0], rows[1:]
            if header[:3] != _COLUMNS:
                raise ValueError(f"found {','.join(header[:3])}")
            classes = tuple(c.removeprefix(_PROBABILITY) for c in header[3:])
            index = {name: i for i, name in enumerate(classes)} | {"": -1}
            labels = np.array([index[row[1]] for row in body], dtype=np.int64)
            probabilities = np.array([row[3:] for row in body], dtype=np.float32).reshape(len(body), len(classes))
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise DataError(
                f"{path} is no predictions file: its columns are not path,label,predicted,prob:CLASS,... "
                f"({type(error).__name__}: {error}).",
                remedy="Make it again: zoo evaluate RUN DATA --out FILE",
            ) from error
        return cls(paths=tuple(row[0] for row in body), classes=classes, labels=labels, probabilities=probabilities)
