"""The facts on one model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from zoo.preprocess import Preprocess

Source = Literal["bundled", "timm", "torchvision", "zoo", "hub", "local"]


@dataclass(frozen=True, kw_only=True)
class Card:
    """The facts on one model. ``architecture`` and ``arguments`` are all that is needed to build it again.

    Attributes:
        name: Its one full name, never an alias.
        source: Where its weights come from.
        architecture: What builds it: ``resnet50.a1_in1k`` (timm), ``torchvision/alexnet`` or a built-in name.
        arguments: What timm's ``create_model`` takes besides, for models whose ``config.json`` says so. JSON values.
        preprocess: How it wants its images.
        num_classes: Classes of the pretrained head; 0 where it ends in features, ``None`` where not known.
        parameters: With the pretrained head; ``None`` where not known.
        license: Of the weights; ``None`` where not stated, or where there are none.
        accuracy: ImageNet top-1 of these weights as published, a fraction. Publishers often measure at a larger input
            than they trained with. ``None`` where not known.
        cached: Whether it can be loaded without a network.
        origin: Where the weights are: a path, ``hf-hub:owner/name``, an https address, or words.
    """

    name: str
    source: Source
    architecture: str
    arguments: tuple[tuple[str, Any], ...] = ()
    preprocess: Preprocess
    num_classes: int | None = None
    parameters: int | None = None
    license: str | None = None
    accuracy: float | None = None
    cached: bool = False
    origin: str = ""
