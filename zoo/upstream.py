"""The models of the installed timm and torchvision, as cards. Importing either takes seconds: see ``zoo.index``."""

from __future__ import annotations

from typing import Any, get_args

from zoo.card import Card
from zoo.preprocess import Interpolation, Preprocess

# Models without a linear layer on pooled features to replace. SqueezeNet's logits are the mean of a rectified map of
# scores; EfficientViM's are sums of several heads with weights that are trained too.
_NO_LINEAR_HEAD = ("squeezenet", "efficientvim")


def timm_names() -> list[str]:
    """``arch.tag`` of every timm model with weights; of one architecture, its default first."""
    import timm

    names = [name for name in timm.list_models(pretrained=True) if not name.startswith(_NO_LINEAR_HEAD)]
    defaults = {_timm_default(name) for name in names}
    return sorted(names, key=lambda name: (name.partition(".")[0], name not in defaults, name))


def _timm_default(name: str) -> str:
    from timm.models import get_pretrained_cfg

    cfg: Any = get_pretrained_cfg(name.partition(".")[0])
    return f"{cfg.architecture}.{cfg.tag}"


def timm_card(name: str) -> Card:
    """The card of ``arch.tag``, without its number of parameters, which only building the model tells."""
    from timm.models import get_pretrained_cfg

    cfg: Any = get_pretrained_cfg(name)
    return Card(
        name=name,
        source="timm",
        architecture=name,
        preprocess=preprocess_of(cfg.to_dict()),
        num_classes=cfg.num_classes,
        license=None if cfg.license in {None, "unknown"} else cfg.license,
        origin=f"hf-hub:{cfg.hf_hub_id}" if cfg.hf_hub_id else cfg.url,
    )


def preprocess_of(cfg: dict[str, Any]) -> Preprocess:
    """A ``pretrained_cfg`` of timm as a ``Preprocess``: evaluation at the size the model was trained with.

    timm's crop modes ``squash`` and ``border`` become a centre crop.
    """
    standard = Preprocess()
    channels, height, width = cfg.get("input_size", (3, *standard.size))
    interpolation = cfg.get("interpolation", standard.interpolation)
    return Preprocess(
        size=(height, width),
        mean=tuple(cfg.get("mean", standard.mean))[:channels],
        std=tuple(cfg.get("std", standard.std))[:channels],
        interpolation=interpolation if interpolation in get_args(Interpolation) else standard.interpolation,
        crop_pct=min(1.0, cfg.get("crop_pct") or standard.crop_pct),
    )


def torchvision_names() -> list[str]:
    """``torchvision/NAME`` of every classifier of torchvision whose last layer is linear."""
    from torchvision import models

    names = models.list_models(module=models)
    return [f"torchvision/{name}" for name in names if not name.startswith(_NO_LINEAR_HEAD)]


def torchvision_card(name: str) -> Card:
    """The card of ``torchvision/NAME`` with its ``DEFAULT`` weights."""
    from torchvision import models

    weights = models.get_model_weights(name.removeprefix("torchvision/")).DEFAULT
    transform = weights.transforms()
    (crop,), (resize,) = transform.crop_size, transform.resize_size
    return Card(
        name=name,
        source="torchvision",
        architecture=name,
        preprocess=Preprocess(
            size=(crop, crop),
            mean=tuple(transform.mean),
            std=tuple(transform.std),
            interpolation=transform.interpolation.value,
            crop_pct=crop / resize,
        ),
        num_classes=len(weights.meta["categories"]),
        parameters=weights.meta["num_params"],
        license=weights.meta.get("license"),  # mostly not stated: BSD-3-Clause is the code's licence
        accuracy=round(weights.meta["_metrics"]["ImageNet-1K"]["acc@1"] / 100, 5),
        origin=weights.url,
    )
