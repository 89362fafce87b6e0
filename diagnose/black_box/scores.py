"""The accuracy that a command reached, read from what it wrote.

In this order:

1. ``predictions.csv`` anywhere in the output folder, with the columns ``path,label,predicted`` (as ``--predictions``
   takes them): we count ourselves, on held-out pictures.
2. A log that ``--log`` would read (CSV, ``trainer_state.json``, TensorBoard events) with a validation accuracy: its
   last value.
3. A JSON file with a key for validation, test or plain accuracy: ``{"val_accuracy": 0.91}``.
4. The last number after a word for accuracy (``accuracy``, ``acc``, ``top1``) in a ``.log`` or ``.txt`` file, else in
   what was printed; a line that also says val, valid, test or eval goes before one that does not. Above 1.5 it is per
   cent.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diagnose.black_box.layout import held_out
from diagnose.logs.names import parse
from diagnose.logs.reading import read_log
from diagnose.predictions import read_predictions
from zoo.data import Dataset
from zoo.data.dataset import IntArray
from zoo.errors import ZooError

_FIGURE = re.compile(
    r"(?:accuracy|\bacc|_acc|top-?1)\b[^0-9\n=:]{0,20}[=: ]\s*\(?([0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)\s*(%)?",
    re.IGNORECASE,
)
_HELD = re.compile(r"\b(?:val|valid|validation|test|eval|evaluation)", re.IGNORECASE)
_MOST_BYTES = 2**20  # of a text file, from its end


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a command reached.

    Attributes:
        accuracy: A fraction.
        source: Where it was read, in words.
        rows: Positions, in the data that was laid out, of the pictures that predictions speak of; ``None`` without any.
        correct: Where they are right, ``(m,)``.
        stated: The accuracy that the command itself states beside its predictions, where it does.
    """

    accuracy: float
    source: str
    rows: IntArray | None = None
    correct: npt.NDArray[np.bool_] | None = None
    stated: float | None = None


def read_score(out: Path, printed: str, dataset: Dataset) -> Score | None:
    """The accuracy that a command reached; ``None`` where nothing that it wrote says so."""
    stated = _logged(out) or _json(out) or _text(out, printed)
    counted = _counted(out, dataset)
    if counted is None:
        return stated
    return counted if stated is None else Score(**{**vars(counted), "stated": stated.accuracy})


def _counted(out: Path, dataset: Dataset) -> Score | None:
    for path in sorted(out.rglob("predictions.csv")):
        try:
            predictions = read_predictions(path, dataset)
        except ZooError:
            continue
        rows = held_out(dataset, predictions.known)
        correct = predictions.predicted[rows] == dataset.labels[rows]
        if len(rows):
            return Score(accuracy=float(correct.mean()), source=path.name, rows=rows, correct=correct)
    return None


def _logged(out: Path) -> Score | None:
    candidates = [p for p in sorted(out.rglob("*")) if p.suffix == ".csv" or p.name == "trainer_state.json"]
    candidates += sorted(out.rglob("*tfevents*"))
    for path in candidates:
        if path.name == "predictions.csv":
            continue
        try:
            values = read_log(path).validation_accuracy.values
        except ZooError:
            continue
        if values and math.isfinite(values[-1]):
            return Score(accuracy=values[-1], source=path.name)
    return None


def _json(out: Path) -> Score | None:
    for path in sorted(out.rglob("*.json")):
        try:
            content = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        found = _named(content[-1] if isinstance(content, list) and content else content)
        if found is not None:
            return Score(accuracy=found, source=path.name)
    return None


def _named(content: Any) -> float | None:
    """The accuracy among a JSON object's numbers: of validation or test first, then one without either word."""
    if not isinstance(content, dict):
        return None
    named = {name: parse(str(name)) for name, value in content.items() if isinstance(value, int | float)}
    for phase in ("validation", "test", ""):
        for name, found in named.items():
            if found is not None and found.quantity == "accuracy" and found.phase == phase:
                return _fraction(float(content[name]))
    return None


def _text(out: Path, printed: str) -> Score | None:
    texts = [(path.name, _tail(path)) for path in sorted(out.rglob("*")) if path.suffix in {".log", ".txt"}]
    for name, text in (*texts, ("what was printed", printed)):
        lines = [(line, _FIGURE.findall(line)) for line in text.splitlines()]
        found = [(line, figures) for line, figures in lines if figures]
        chosen = [pair for pair in found if _HELD.search(pair[0])] or found
        if chosen:
            number, per_cent = chosen[-1][1][-1]  # "train acc 0.9 val acc 0.8": the last of a line
            value = float(number)
            return Score(accuracy=value / 100 if per_cent else _fraction(value), source=name)
    return None


def _tail(path: Path) -> str:
    try:
        return path.read_bytes()[-_MOST_BYTES:].decode("utf-8", errors="replace")
    except OSError:
        return ""


def _fraction(value: float) -> float:
    return value / 100 if value > 1.5 else value
