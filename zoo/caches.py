"""What is kept between runs: where, how large, and how to make it smaller."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from zoo import cache, hub, store
from zoo.errors import OptionError
from zoo.store import Usage

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True, kw_only=True)
class Cache:
    """One folder.

    Attributes:
        name: Whose it is.
        folder: Where it is; need not exist.
        variable: The environment variable that moves it.
        size: Bytes in it.
        free: Bytes free on its disk.
        content: What is in it, in words, each with its bytes.
        writable: Whether something can be stored in it.
    """

    name: str
    folder: Path
    variable: str
    size: int
    free: int
    content: tuple[tuple[str, int], ...]
    writable: bool


def caches() -> tuple[Cache, ...]:
    """Zoovet's own, the hub's and torch's."""
    import huggingface_hub.constants

    repositories, weights = Path(huggingface_hub.constants.HF_HUB_CACHE), hub.torch_hub() / "checkpoints"
    return (
        _cache("zoovet", cache.root(), "ZOO_CACHE", _stored(_kept())),
        _cache("hub", repositories, "HF_HOME", _repositories(repositories)),
        _cache("torch", weights, "TORCH_HOME", _files(weights)),
    )


def prune(limit: int) -> tuple[Usage, ...]:
    """Shrink what was stored of images to ``limit`` bytes: what was not used for longest goes, and can be made again.

    Returns:
        What was removed.
    """
    return store.prune(_kept(), limit)


def _kept() -> tuple[Usage, ...]:
    """The tables, and the folder of fitted probes as one more."""
    folder = cache.root() / cache.PROBES
    times = []
    for path in folder.glob("*.npz"):
        with suppress(FileNotFoundError):  # gone meanwhile
            times.append(path.stat().st_mtime)
    probes = (Usage(folder=folder, size=_size(folder), used=max(times)),) if times else ()
    return (*store.usage(cache.root()), *probes)


def parse_size(text: str) -> int:
    """Bytes.

    >>> parse_size("1.5G")
    1500000000

    Raises:
        OptionError: It is no size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)I?B?", text.strip().upper())
    if found is None:
        raise OptionError(
            f"A size must be a number such as 500M or 5G. Got {text!r} instead.",
            remedy="For example: zoo doctor --prune 5G",
        )
    return int(float(found[1]) * _UNITS[found[2]])


def _cache(name: str, folder: Path, variable: str, content: Sequence[tuple[str, int]]) -> Cache:
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    return Cache(
        name=name,
        folder=folder,
        variable=variable,
        size=_size(folder),
        free=shutil.disk_usage(there).free,
        content=tuple(content),
        writable=os.access(there, os.W_OK | os.X_OK),
    )


def _repositories(folder: Path) -> list[tuple[str, int]]:
    prefix = "models--"
    found = sorted(path for path in folder.glob(f"{prefix}*") if path.is_dir())
    return [(path.name.removeprefix(prefix).replace("--", "/"), _size(path)) for path in found]


def _files(folder: Path) -> list[tuple[str, int]]:
    return [(path.name, path.stat().st_size) for path in sorted(folder.glob("*.pth"))]


def _stored(kept: Sequence[Usage]) -> list[tuple[str, int]]:
    """Features by model, fitted probes, and the rest in one."""
    features = sorted((_model(table.folder), table.size) for table in kept if table.folder.parent.name == "features")
    probes = sum(table.size for table in kept if table.folder.name == cache.PROBES)
    rest = sum(table.size for table in kept) - probes - sum(size for _, size in features)
    return [
        *((f"features of {model}", size) for model, size in features),
        *([("fitted probes", probes)] if probes else []),
        *([("notes on images", rest)] if rest else []),
    ]


def _model(folder: Path) -> str:
    """The model's name in the name of its table, which ends in a digest."""
    return folder.name.rpartition("-")[0] or folder.name


def _size(folder: Path) -> int:
    """Bytes of everything below; a link counts as itself, so that the hub's files count once."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118 - maybe many thousand files
            except OSError:  # gone meanwhile
                continue
    return total
