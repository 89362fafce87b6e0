"""A model whose features are kept: a pretrained one, or a run's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from zoo.cache import file_digest
from zoo.card import Card

if TYPE_CHECKING:
    from torch import nn

    from zoo.run import Run


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """What the store needs to know of a model.

    Attributes:
        card: Its name, and how it wants its images.
        fingerprint: A hexadecimal digest that names its exact weights.
        load: Gives the model: float32, evaluation mode, on the CPU.
    """

    card: Card
    fingerprint: str
    load: Callable[[], nn.Module]


def pretrained(card: Card, *, offline: bool = False) -> Backbone:
    """A model of the catalog.

    Raises:
        HubError, WeightsError, DependencyError: As ``zoo.weights.load``, where the weights must be fetched first.
    """
    from zoo import weights

    return Backbone(
        card=card,
        fingerprint=weights.fingerprint(card, offline=offline),
        load=partial(weights.load, card, offline=offline),
    )


def of_run(run: Run) -> Backbone:
    """The model that a run ships.

    Raises:
        RunError: The run has no weights yet, or they are damaged.
    """
    return Backbone(card=run.card, fingerprint=file_digest(run.weights), load=run.module)
