"""Loads a Hugging Face data set with the package ``datasets``: from its cache, from the hub, or from a folder."""

from __future__ import annotations

import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

from zoo.data.names import printable
from zoo.errors import DataError, DependencyError, HubError

_PART = re.compile(r"\w[\w.-]*")
_PATIENCE = 6.0  # seconds


def is_saved(folder: Path) -> bool:
    """Whether ``save_to_disk`` wrote this folder."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    )


def load(source: str, *, offline: bool) -> dict[str, Any]:
    """The data set's parts (``datasets.Dataset``) by name.

    Raises:
        DataError: A folder is no data set, or a damaged one.
        HubError: It is neither in the cache nor to be had from the hub.
        DependencyError: ``datasets`` is not installed.
    """
    try:
        import datasets
    except ImportError:
        raise DependencyError.missing("datasets", extra="datasets", purpose="Reading a Hugging Face data set") from None
    folder = Path(source).expanduser()
    if is_saved(folder):
        loaded = _local(source, lambda: datasets.load_from_disk(str(folder)))
    elif folder.is_dir():
        loaded = _local(source, lambda: datasets.load_dataset(str(folder), None))
    else:
        loaded = _from_hub(source, offline=offline)
    parts = dict(loaded) if isinstance(loaded, dict) else {str(loaded.split or "all"): loaded}
    if not parts or not all(_PART.fullmatch(name) for name in parts):  # they become names of folders
        raise DataError(
            f"{printable(source)} names its parts {', '.join(map(repr, parts)) or 'not at all'}.",
            remedy="Parts must have plain names: train, validation, test.",
        )
    return parts


def _local(source: str, load: Callable[[], Any]) -> Any:
    try:
        with _quiet(offline=True):
            return load()
    except _failures() as error:
        raise DataError(
            f"{printable(source)} cannot be read as a Hugging Face data set: {_said(error)}.",
            remedy="Write it anew with save_to_disk, or give an image folder.",
        ) from error


def _from_hub(source: str, *, offline: bool) -> Any:
    """What ``datasets`` has cached, without asking the hub; else what the hub has."""
    import datasets

    name, _, config = source.partition(":")
    try:
        with _quiet(offline=True):
            return datasets.load_dataset(name, config or None)
    except _failures() as error:
        if offline or datasets.config.HF_HUB_OFFLINE:
            raise HubError(
                f"The data set {source!r} is not in the cache of Hugging Face, and offline work was asked for.",
                remedy="Run the command once without --offline, or give a local folder: hf:FOLDER",
            ) from error
    _require_reachable(datasets.config.HF_ENDPOINT)
    try:
        with _quiet(offline=False):
            return datasets.load_dataset(name, config or None)
    except _failures() as error:
        raise HubError(
            f"The data set {source!r} cannot be had: {_said(error)}.",
            remedy="Check the name, and log in if it is private: hf auth login",
        ) from error


def _failures() -> tuple[type[Exception], ...]:
    """What ``datasets`` raises for data and hubs that fail it; httpx' errors are no OSError."""
    import datasets
    from huggingface_hub import errors

    kinds = (OSError, ValueError, LookupError, RuntimeError, datasets.exceptions.DatasetsError)
    return (*kinds, errors.HTTPError) if hasattr(errors, "HTTPError") else kinds


def _said(error: Exception) -> str:
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return printable(first_line)[:300].rstrip(".")


def _require_reachable(endpoint: str) -> None:
    """Fails within ``_PATIENCE`` seconds where the hub does not answer: ``datasets`` would try for half a minute."""
    answered: list[bool] = []

    def ask() -> None:
        request = urllib.request.Request(endpoint, method="HEAD")  # noqa: S310 - the endpoint that datasets uses
        try:
            urllib.request.urlopen(request, timeout=_PATIENCE).close()  # noqa: S310
        except urllib.error.HTTPError as error:  # an answer all the same
            error.close()
        except (OSError, HTTPException, ValueError):
            return
        answered.append(True)

    thread = threading.Thread(target=ask, daemon=True)  # looking up a name knows no time limit
    thread.start()
    thread.join(_PATIENCE)
    if not answered:
        raise HubError(
            f"The Hugging Face hub cannot be reached ({endpoint}), and the data set is not in its cache.",
            remedy="Check the network and HF_ENDPOINT, or give a local folder: hf:FOLDER",
        )


@contextmanager
def _quiet(*, offline: bool) -> Iterator[None]:
    """Keeps the progress bars of ``datasets`` off the screen, and it and the hub's client off the network."""
    import datasets
    from huggingface_hub import constants

    places = [
        (datasets.config, "HF_HUB_OFFLINE"),
        (datasets.config, "HF_DATASETS_OFFLINE"),
        (constants, "HF_HUB_OFFLINE"),
    ]
    before = [(place, name, getattr(place, name)) for place, name in places if hasattr(place, name)]
    bars = not datasets.are_progress_bars_disabled()
    try:
        datasets.disable_progress_bars()
        for place, name, value in before:
            setattr(place, name, offline or value)
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)
        if bars:
            datasets.enable_progress_bars()
