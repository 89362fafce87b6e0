"""How the commands show models."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import Any

from zoo.card import Card
from zoo.errors import OptionError

UNKNOWN = "?"
_SOURCES = {
    "bundled": "bundled: the weights are in an installed package",
    "timm": "timm",
    "torchvision": "torchvision",
    "zoo": "an architecture of our own, without pretrained weights",
    "hub": "the Hugging Face hub",
    "local": "this disk",
}


def millions(parameters: int | None) -> str:
    """A number of parameters, short: ``25.6M``."""
    return (
        UNKNOWN
        if parameters is None
        else f"{parameters / 1e6:.2f}M"
        if parameters < 1e7
        else f"{parameters / 1e6:.1f}M"
    )


def percent(accuracy: float | None) -> str:
    """An accuracy with one decimal, or a sign that it is not known."""
    return UNKNOWN if accuracy is None else f"{accuracy:.1%}"


def here(card: Card) -> str:
    """Whether a model can be used without a network, and why."""
    return "bundled" if card.source in {"bundled", "zoo"} and card.cached else "cached" if card.cached else ""


def card_as_json(card: Card) -> dict[str, Any]:
    """The facts that a card holds; what is not known is null."""
    return {
        "name": card.name,
        "source": card.source,
        "architecture": card.architecture,
        "parameters": card.parameters,
        "input_size": list(card.preprocess.size),
        "channels": card.preprocess.channels,
        "mean": list(card.preprocess.mean),
        "std": list(card.preprocess.std),
        "interpolation": card.preprocess.interpolation,
        "crop_pct": card.preprocess.crop_pct,
        "num_classes": card.num_classes,
        "license": card.license,
        "accuracy": card.accuracy,
        "cached": card.cached,
        "origin": card.origin,
    }


def matching(cards: list[Card], *, max_params: str | None, license_: str | None, order: str) -> list[Card]:
    """The cards that a person asked for, sorted; where a fact is not known the card comes last.

    Args:
        cards: To choose from.
        max_params: ``30M``, ``1.2B`` or a plain number; cards of unknown size are left out then.
        license_: A glob, whatever its case; ``unknown`` finds weights whose licence is not stated.
        order: ``name``, ``params`` or ``accuracy``.

    Raises:
        OptionError: ``max_params`` is not a number.
    """
    if max_params is not None:
        limit = _count(max_params)
        cards = [card for card in cards if card.parameters is not None and card.parameters <= limit]
    if license_ is not None:
        glob = license_.lower()
        cards = [card for card in cards if fnmatch.fnmatchcase((card.license or "unknown").lower(), glob)]
    if order == "params":
        return sorted(cards, key=lambda card: (card.parameters is None, card.parameters or 0))
    if order == "accuracy":
        return sorted(cards, key=lambda card: -(card.accuracy or 0.0))
    return cards


def _count(text: str) -> float:
    scales = {"K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9}
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMBG]?)", text.strip().upper())
    if match is None:
        raise OptionError(
            f"--max-params must be a number such as 30M. Got {text!r} instead.", remedy="For example: --max-params 30M"
        )
    return float(match[1]) * scales.get(match[2], 1.0)


def facts(card: Card, file: Path | None) -> list[tuple[str, str]]:
    """The lines of ``zoo info``: what each fact is, and the fact in words.

    Args:
        card: The model.
        file: Where its weights lie on this disk; ``None`` where they do not.
    """
    p = card.preprocess
    size = " x ".join(map(str, p.size))
    colours = "1 channel" if p.channels == 1 else f"{p.channels} channels"
    classes = {None: "not known", 0: "none: it ends in features"}.get(card.num_classes, str(card.num_classes))
    return [
        ("model", card.name),
        ("source", _SOURCES[card.source]),
        ("parameters", f"{card.parameters:,}" if card.parameters is not None else "not known"),
        ("input", f"{size} pixels, {colours}, {p.interpolation}, centre crop {p.crop_pct:.3g}"),
        ("mean", ", ".join(f"{value:.4g}" for value in p.mean)),
        ("std", ", ".join(f"{value:.4g}" for value in p.std)),
        ("classes of its own head", classes),
        ("licence of the weights", card.license or _no_license(card)),
        ("ImageNet top-1", _accuracy(card)),
        ("weights", _weights(card, file)),
        ("use it", f"zoo finetune {card.name} DATA"),
    ]


def _no_license(card: Card) -> str:
    return "it has none: it starts untrained" if card.source == "zoo" else "not stated by who published them"


def _accuracy(card: Card) -> str:
    if card.accuracy is not None:
        return f"{card.accuracy:.1%} (published by its authors, often at a larger input)"
    return "none: it starts untrained" if card.source == "zoo" else "not known"


def _weights(card: Card, file: Path | None) -> str:
    if card.source == "zoo" or (file is None and card.source == "bundled"):
        return card.origin
    where = f"{file} (on this disk)" if file else "not on this disk"
    return where if card.origin == str(file) else f"{where}, from {card.origin}"
