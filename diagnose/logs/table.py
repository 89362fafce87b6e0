"""CSV logs: Lightning's and Keras's CSVLogger, fastai's, timm's, our own ``metrics.csv``, and plain ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from diagnose.curves import Curves
from diagnose.logs.names import assemble
from zoo.data.table import read_table

_EPOCH = ("epoch", "epochs")
_STEP = ("step", "global_step", "steps", "iteration", "iter", "batch", "it")


def read_csv(path: Path) -> Curves:
    """The curves in a table with a header; a blank cell means that nothing was logged there.

    Raises:
        DataError: It cannot be read.
    """
    table = read_table(path)
    names = [name.strip().lower() for name in table.columns]
    rows = [[_number(cell) for cell in row] + [None] * (len(names) - len(row)) for row in _epochs(names, table.rows)]
    unit, at = _axis(names, rows)
    columns = {
        name: [(at[i], value) for i, row in enumerate(rows) if (value := row[column]) is not None]
        for column, name in enumerate(table.columns)
    }
    return assemble(columns, unit=unit, source="CSV")


def _epochs(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """Without the rows of our own ``metrics.csv`` that no epoch of training stands behind: the probe, the soup."""
    if "name" not in names:
        return rows
    column = names.index("name")
    return [row for row in rows if len(row) > column and row[column] == "epoch"] or rows


def _number(cell: str) -> float | None:
    """A cell's number, per cent signs dropped; ``None`` where it is blank or no number."""
    text = cell.strip().removesuffix("%").strip()
    try:
        return float(text)
    except ValueError:
        return None


def _axis(
    names: Sequence[str], rows: Sequence[Sequence[float | None]]
) -> tuple[Literal["epoch", "step", "row"], list[float]]:
    """What the rows are counted in: epochs where each has its own, else steps, else their number."""
    candidates: tuple[tuple[Literal["epoch", "step"], tuple[str, ...]], ...] = (("epoch", _EPOCH), ("step", _STEP))
    for unit, words in candidates:
        for word in words:
            if word not in names:
                continue
            values = [row[names.index(word)] for row in rows]
            known = [value for value in values if value is not None]
            # Lightning writes some rows an epoch: those with the training loss, and one with the validation's.
            repeated = len(known) > 3 * len(set(known))
            if len(known) == len(values) and known == sorted(known) and not (unit == "epoch" and repeated):
                return unit, known
    return "row", [float(number) for number in range(1, len(rows) + 1)]
