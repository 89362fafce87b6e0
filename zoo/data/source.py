"""``read``: whatever a person names as data, as a ``Dataset``."""

from __future__ import annotations

from pathlib import Path

from zoo.data.dataset import Dataset
from zoo.data.folder import read_folder
from zoo.data.names import printable
from zoo.errors import DataError


def read(source: str | Path, *, offline: bool = False) -> Dataset:
    """The labelled images at ``source``."""
    path = Path(source).expanduser()
    if not path.exists():
        raise DataError(f"There is no folder or file {printable(str(path))}.", remedy="Check the name.")
    return read_folder(path, name=printable(path.resolve().name) or "data")
