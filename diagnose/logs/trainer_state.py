"""Hugging Face's ``trainer_state.json``, which its Trainer writes into every checkpoint."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from diagnose.curves import Curves
from diagnose.logs.names import assemble
from zoo.data.names import printable
from zoo.errors import DataError

_REMEDY = "Name the trainer_state.json of the last checkpoint-NNN folder; it has a log_history."


def read_trainer_state(path: Path) -> Curves:
    """The curves in its ``log_history``, by step.

    Raises:
        DataError: It is no such file.
    """
    try:
        history = json.loads(path.read_text("utf-8"))["log_history"]
        entries = [(float(entry["step"]), entry) for entry in history]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{printable(str(path))} is no trainer_state.json: {error}.", remedy=_REMEDY) from error
    columns: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for step, entry in entries:
        for name, value in entry.items():
            # "train_loss" is the mean over the whole training, written once at its end.
            if isinstance(value, int | float) and name not in {"step", "epoch", "train_loss"}:
                columns[name].append((step, float(value)))
    return assemble(columns, unit="step", source="trainer_state.json")
