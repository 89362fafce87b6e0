"""Models that need no download: our own, and those whose weights lie in an installed package."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from zoo.preprocess import Preprocess
from zoo.registry import Registry

if TYPE_CHECKING:  # the catalog knows the models without loading torch
    import torch
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class BuiltIn(ABC):
    """A model that is there without a download. A new one is one new file in this package that registers itself.

    Attributes:
        name: What a person types.
        source: ``bundled`` where a package holds ImageNet weights; ``zoo`` for an architecture of our own.
        preprocess: How it wants its images.
        num_classes: Classes of its own head.
        parameters: With its own head.
        license: Of the weights; ``None`` where there are none.
        accuracy: ImageNet top-1 as a fraction; ``None`` where it has none.
    """

    name: str
    source: Literal["bundled", "zoo"]
    preprocess: Preprocess
    num_classes: int
    parameters: int
    license: str | None = None
    accuracy: float | None = None

    @abstractmethod
    def available(self) -> bool:
        """Whether it can be loaded now (a bundled one needs its package). Imports nothing."""

    @abstractmethod
    def origin(self) -> str:
        """Where the weights are: a path, or words."""

    @abstractmethod
    def fingerprint(self) -> str:
        """A hexadecimal digest that names these exact weights."""

    @abstractmethod
    def build(self) -> nn.Module:
        """The architecture with its own head, weights as its authors initialise them."""

    @abstractmethod
    def state_dict(self) -> dict[str, torch.Tensor]:
        """The weights under the names that ``build`` gives them. Imports torch and nothing heavier."""


BUILT_IN: Registry[BuiltIn] = Registry("built-in model", package="zoo.models")
