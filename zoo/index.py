"""Every model of timm and torchvision as a card, from a file that ships with the zoo rather than by importing them.

``index.json`` is made by ``benchmarks/make_index.py`` from one version of timm and of torchvision. Where another
version is installed, names that the file lacks are looked for in the library itself.
"""

from __future__ import annotations

import importlib.metadata
import json
from functools import cache
from importlib import resources
from typing import Any

from zoo.card import Card
from zoo.preprocess import Preprocess


@cache
def cards() -> dict[str, Card]:
    """All cards of the file by name; of one timm architecture, the default weights come first."""
    return {card.name: card for card in map(_card, _content()["models"])}


@cache
def _content() -> dict[str, list[list[Any]]]:
    text = resources.files("zoo").joinpath("index.json").read_text("utf-8")
    content: dict[str, list[list[Any]]] = json.loads(text)
    return content


@cache
def complete(library: str) -> bool:
    """Whether the file was made from the installed version of ``timm`` or ``torchvision``."""
    made_from = dict(map(tuple, _content()["versions"]))
    # "+cu128" and the like name a build, not another set of models.
    return bool(importlib.metadata.version(library).partition("+")[0] == made_from[library])


def row(card: Card) -> list[Any]:
    """A card as a row of the file."""
    p = card.preprocess
    facts = [card.num_classes, card.parameters, card.license, card.accuracy, card.origin]
    return [card.name, card.source, *facts, list(p.size), list(p.mean), list(p.std), p.interpolation, p.crop_pct]


def _card(row: list[Any]) -> Card:
    name, source, num_classes, parameters, license_, accuracy, origin, size, mean, std, interpolation, crop_pct = row
    preprocess = Preprocess(
        size=tuple(size), mean=tuple(mean), std=tuple(std), interpolation=interpolation, crop_pct=crop_pct
    )
    return Card(
        name=name,
        source=source,
        architecture=name,
        preprocess=preprocess,
        num_classes=num_classes,
        parameters=parameters,
        license=license_,
        accuracy=accuracy,
        origin=origin,
    )
