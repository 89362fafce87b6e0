"""What models exist, and the facts on each. Nothing here downloads, builds or loads a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from zoo.errors import UnknownModelError
from zoo.models.builtin import BUILT_IN, BuiltIn
from zoo.preprocess import Preprocess
from zoo.registry import nearest

Source = Literal["bundled", "timm", "torchvision", "zoo", "hub", "local"]

#: Short names, and the model each stands for.
ALIASES = {
    "resnet": "resnet50.a1_in1k",
    "vit": "vit_base_patch16_224.augreg2_in21k_ft_in1k",
    "convnext": "convnext_tiny.in12k_ft_in1k",
    "efficientnet": "efficientnet_lite0",
    "mobilenet": "mobilenetv3_large_100.ra_in1k",
    "vgg": "torchvision/vgg16",
    "googlenet": "torchvision/googlenet",
    "alexnet": "torchvision/alexnet",
    "lenet": "lenet5",
}


@dataclass(frozen=True, kw_only=True)
class Card:
    """The facts on one model.

    Attributes:
        name: Its one full name; an alias never.
        source: Where its weights come from.
        architecture: What builds it: a name of timm, torchvision or our own.
        preprocess: How it wants its images.
        num_classes: Classes of the pretrained head; 0 where it ends in features, ``None`` where not known.
        parameters: With the pretrained head; ``None`` where not known.
        license: Of the weights; ``None`` where not known, or where there are none.
        accuracy: ImageNet top-1 of these weights, a fraction; ``None`` where not known.
        cached: Whether it can be loaded without a network.
    """

    name: str
    source: Source
    architecture: str
    preprocess: Preprocess
    num_classes: int | None = None
    parameters: int | None = None
    license: str | None = None
    accuracy: float | None = None
    cached: bool = False


def card(name: str, *, offline: bool = False) -> Card:
    """The card of the model that goes by ``name``.

    Raises:
        UnknownModelError: No model goes by that name; names the nearest.
    """
    name = ALIASES.get(name, name)
    if name in BUILT_IN:
        return _built_in(BUILT_IN[name])
    import timm  # noqa: PLC0415  # 2 s

    if not timm.is_model(name) or not timm.get_pretrained_cfg(name, allow_unregistered=False):
        raise UnknownModelError(f"There is no model {name!r}.", remedy=nearest(name, [*BUILT_IN, *ALIASES]))
    return _timm(timm.get_pretrained_cfg(name))


def _built_in(entry: BuiltIn) -> Card:
    return Card(
        name=entry.name,
        source=entry.source,
        architecture=entry.name,
        preprocess=entry.preprocess,
        num_classes=entry.num_classes,
        parameters=entry.parameters,
        license=entry.license,
        accuracy=entry.accuracy,
        cached=entry.available(),
    )


def _timm(cfg: Any) -> Card:
    interpolation = cfg.interpolation if cfg.interpolation in {"nearest", "bilinear", "bicubic"} else "bicubic"
    return Card(
        name=f"{cfg.architecture}.{cfg.tag}",
        source="timm",
        architecture=cfg.architecture,
        preprocess=Preprocess(
            size=tuple(cfg.input_size[1:]),
            mean=tuple(cfg.mean),
            std=tuple(cfg.std),
            interpolation=interpolation,
            crop_pct=cfg.crop_pct,
        ),
        num_classes=cfg.num_classes,
        license=cfg.license,
    )
