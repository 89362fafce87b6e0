"""A log of any known kind, recognised by its name."""

from __future__ import annotations

from pathlib import Path

from diagnose.curves import Curves
from diagnose.logs.events import read_events
from diagnose.logs.table import read_csv
from diagnose.logs.trainer_state import read_trainer_state
from zoo.data.names import printable
from zoo.errors import DataError

_REMEDY = (
    "Give a CSV with columns such as epoch,train_loss,val_loss,val_accuracy,lr; TensorBoard events; or a "
    "trainer_state.json."
)


def read_log(path: Path) -> Curves:
    """The curves of a training.

    Args:
        path: A CSV, a ``trainer_state.json``, an event file, or a folder that holds one of them.

    Raises:
        DataError: It cannot be read, or holds no loss and no accuracy.
        DependencyError: It is TensorBoard's, and tensorboard is not installed.
    """
    path = _inside(path) if path.is_dir() else path
    if path.is_dir() or "tfevents" in path.name:
        curves = read_events(path)
    elif path.suffix == ".json":
        curves = read_trainer_state(path)
    else:
        curves = read_csv(path)
    logged = (curves.train_loss, curves.validation_loss, curves.train_accuracy, curves.validation_accuracy)
    if not any(len(series) for series in logged):
        raise DataError(f"{printable(str(path))} holds no loss and no accuracy under a known name.", remedy=_REMEDY)
    return curves


def _inside(folder: Path) -> Path:
    """The log in a folder; the folder itself where it holds event files."""
    states = sorted(folder.rglob("trainer_state.json"), key=lambda path: path.stat().st_mtime)
    if states:
        return states[-1]
    for name in ("metrics.csv", "history.csv", "results.csv", "summary.csv", "log.csv", "training.csv"):
        if (folder / name).is_file():
            return folder / name
    if any(folder.rglob("*tfevents*")):
        return folder
    tables = sorted(folder.glob("*.csv"))
    if len(tables) == 1:
        return tables[0]
    raise DataError(f"The folder {printable(str(folder))} holds no log of a known kind.", remedy=_REMEDY)
