"""The architecture that a card names, without its weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from zoo.card import Card
from zoo.classifier import embed, set_head
from zoo.errors import ModelError
from zoo.models.builtin import BUILT_IN


def build(card: Card, *, num_classes: int | None = None) -> nn.Module:
    """The architecture with random weights: float32, evaluation mode, on the CPU. Needs no network.

    Args:
        card: Only ``architecture``, ``arguments`` and ``preprocess`` are read.
        num_classes: Classes of a head of zeros; ``None`` leaves the architecture its own head.
    """
    module = architecture(card)
    drop_auxiliary(module)
    if num_classes is not None:
        set_zero_head(module, card, num_classes)
    return module.eval()


def architecture(card: Card) -> nn.Module:
    """The architecture with its own head, as its library makes it.

    Raises:
        ModelError: The installed timm or torchvision does not have it.
    """
    name = card.architecture
    if name in BUILT_IN:
        return BUILT_IN[name].build()
    try:
        if name.startswith("torchvision/"):
            return _torchvision(name.removeprefix("torchvision/"))
        import timm  # 2 s

        module: nn.Module = timm.create_model(name, pretrained=False, **dict(card.arguments))
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        library = name.partition("/")[0] if "/" in name else "timm"
        raise ModelError(
            f"The installed {library} cannot build {name!r}: {error}", remedy=f"Run: pip install --upgrade {library}"
        ) from error
    return module


def _torchvision(name: str) -> nn.Module:
    from torchvision import models  # 2 s

    arguments: dict[str, Any] = {}
    if name in {"googlenet", "inception_v3"}:
        # The auxiliary heads serve training from scratch only; transform_input is how the weights were trained.
        arguments = {"aux_logits": False, "init_weights": False, "transform_input": True}
    module: nn.Module = models.get_model(name, weights=None, **arguments)
    return module


def drop_auxiliary(module: nn.Module) -> None:
    """Leave out VOLO's second head: half its maximum over all tokens is added to the logits, which no layer can do.

    It exists for token labelling while training from scratch (Jiang et al., arXiv 2104.10858).
    """
    if isinstance(getattr(module, "aux_head", None), nn.Module):
        module.aux_head = None  # type: ignore[assignment]


def set_zero_head(module: nn.Module, card: Card, num_classes: int) -> None:
    """Give the module an untrained head: zeros, so that every class starts equally likely."""
    module.eval()
    with torch.no_grad():
        width = embed(module, torch.zeros(1, card.preprocess.channels, *card.preprocess.size)).shape[1]
    set_head(module, torch.zeros(num_classes, width), torch.zeros(num_classes))
