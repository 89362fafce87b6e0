"""Where the weights of a card lie on this disk. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from zoo import catalog, hub
from zoo.card import Card
from zoo.errors import HubError, ModelError, WeightsError
from zoo.tensors import SUFFIXES

__all__ = ["file", "location"]


def location(card: Card) -> Path | None:
    """The weights file where it is on this disk already; ``None`` where not. Never uses the network."""
    if card.source in {"bundled", "zoo"}:
        return Path(card.origin) if card.cached and card.source == "bundled" else None
    if card.source == "local":
        return _local_file(Path(card.origin))
    if not card.origin.startswith("hf-hub:"):
        path = hub.cached_url(card.origin)
        return path if path.is_file() else None
    kept = (hub.cached(card.origin, name) for name in catalog.WEIGHTS_FILES)
    return next((path for path in kept if path is not None), None)


def file(card: Card, *, offline: bool = False) -> Path:
    """The weights file on this disk, fetched first where need be. Not for built-in models.

    Raises:
        HubError: It cannot be fetched; names the models that need no network.
    """
    if (here := location(card)) is not None:
        return here
    try:
        if not card.origin.startswith("hf-hub:"):
            return hub.fetch_url(card.origin, offline=offline)
        for name in catalog.WEIGHTS_FILES:
            fetched = hub.fetch(card.origin, name, offline=offline)
            if fetched is not None:
                return fetched
    except HubError as error:
        raise HubError(f"{card.name}: {error.what}", remedy=error.remedy or catalog.at_hand()) from error
    raise ModelError(f"{card.origin!r} holds none of {', '.join(catalog.WEIGHTS_FILES)}.", remedy="See: zoo list")


def _local_file(path: Path) -> Path:
    if path.is_file():
        return path
    names = [path / name for name in catalog.WEIGHTS_FILES] + sorted(p for p in path.glob("*") if p.suffix in SUFFIXES)
    for candidate in names:
        if candidate.is_file():
            return candidate
    raise WeightsError(f"{str(path)!r} holds no weights.", remedy=f"A file ending in {', '.join(SUFFIXES)} is needed.")
