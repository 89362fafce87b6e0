"""What a fine-tuning is to start from: looked up, read and checked before anything slow is loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo import device_name
from zoo.catalog import Card, card
from zoo.data import read
from zoo.data.dataset import Dataset
from zoo.errors import OptionError, StorageError
from zoo.files import storage_error
from zoo.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Request:
    """A fine-tuning that can begin.

    Attributes:
        card: The pretrained model.
        dataset: The images as listed; none is looked at yet.
        settings: What was asked for; the rest is chosen when it runs.
        source: What the person named as data; absolute where it is a path.
        out: Folder of the run; ``None`` for the next number under ``runs/``.
        device: A name for ``zoo.devices``.
    """

    card: Card
    dataset: Dataset
    settings: Settings
    source: str
    out: Path | None
    device: str


def check_request(
    model: str,
    data: str | Path | Dataset,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    offline: bool = False,
    choices: Mapping[str, Any],
) -> Request:
    """Check everything that a person can get wrong. Needs no torch, so that a mistake is told at once.

    Args:
        model: A name of the catalog, an alias, ``hf-hub:owner/name`` or a local file.
        data: Whatever ``zoo.data.read`` takes, or what it gave.
        out: Folder of the run, new or empty.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        offline: Make no network call.
        choices: Fields of ``Settings``.

    Raises:
        ZooError: What a person can mend.
    """
    settings = Settings().override(choices)
    device_name.parse(device)
    folder = None if out is None else vacant(Path(out))
    chosen = card(model, offline=offline)
    dataset = data if isinstance(data, Dataset) else read(data, offline=offline)
    named = data.root if isinstance(data, Dataset) else data
    source = str(Path(named).resolve()) if Path(named).exists() else str(named)
    return Request(card=chosen, dataset=dataset, settings=settings, source=source, out=folder, device=device)


def new_file(out: Path) -> Path:
    """``out`` where a file may be written there, so that this is told before the work and not after it.

    Raises:
        OptionError: It is a folder, or lies below a file.
        StorageError: The folder that it is to lie in may not be written.
    """
    if _looked_at(out).is_dir():
        raise OptionError(f"{out} is a folder.", remedy=f"Name a file, such as {out / 'result'}")
    folder = next(place for place in out.absolute().parents if place.exists())
    if not folder.is_dir():
        raise OptionError(f"{folder} is a file, so that nothing can lie below it.", remedy="Choose another file.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(
            f"Nothing may be written to {folder}.", remedy="Choose another folder, or mend it: chmod u+wx"
        )
    return out


def vacant(out: Path) -> Path:
    """``out`` where a result may be written there; who writes it makes sure once more, in one step.

    Raises:
        OptionError: It is a file, or a folder with something in it.
    """
    if _looked_at(out).exists() and not out.is_dir():
        raise OptionError(f"{out} is a file.", remedy="Choose another --out.")
    new_file(out / "config.yaml")
    if out.is_dir() and any(out.iterdir()):
        raise OptionError(f"The folder {out} is not empty.", remedy="Choose another --out, or leave it away.")
    return out


def _looked_at(path: Path) -> Path:
    """The path, where the operating system lets us look whether something is there."""
    try:
        path.exists()
    except OSError as error:
        raise storage_error(error, path, remedy="Choose another name or place.") from error
    return path
