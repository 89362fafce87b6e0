"""Where weights come from: a bundled package, a local file, the hub's cache, the hub."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from zoo.catalog import Card
from zoo.models.builtin import BUILT_IN
from zoo.models.classifier import embed, set_head


def build(card: Card, *, num_classes: int | None = None) -> nn.Module:
    """The architecture with random weights: float32, evaluation mode, on the CPU."""
    module = _architecture(card)
    if num_classes is not None:
        _fresh_head(module, card, num_classes)
    return module.eval()


def load(card: Card, *, num_classes: int | None = None, offline: bool = False) -> nn.Module:
    """The model with its pretrained weights: float32, evaluation mode, on the CPU."""
    if card.source in {"bundled", "zoo"}:
        module = _architecture(card)
        module.load_state_dict(BUILT_IN[card.name].state_dict())
    else:
        import timm  # noqa: PLC0415

        module = timm.create_model(card.name, pretrained=True)
    if num_classes is not None:
        _fresh_head(module, card, num_classes)
    return module.eval()


def fingerprint(card: Card) -> str:
    """A hexadecimal digest that names these exact weights."""
    if card.source in {"bundled", "zoo"}:
        return BUILT_IN[card.name].fingerprint()
    return hashlib.sha256(card.name.encode()).hexdigest()


def _architecture(card: Card) -> nn.Module:
    if card.source in {"bundled", "zoo"}:
        return BUILT_IN[card.architecture].build()
    import timm  # noqa: PLC0415

    module: nn.Module = timm.create_model(card.architecture, pretrained=False)
    return module


def _fresh_head(module: nn.Module, card: Card, num_classes: int) -> None:
    """Give the module an untrained head: zeros, so that every class starts equally likely."""
    module.eval()
    with torch.no_grad():
        width = embed(module, torch.zeros(1, card.preprocess.channels, *card.preprocess.size)).shape[1]
    set_head(module, torch.zeros(num_classes, width), torch.zeros(num_classes))


def with_head(card: Card, weight: torch.Tensor, bias: torch.Tensor) -> dict[str, torch.Tensor]:
    """The state dict of the pretrained model with another last layer.

    Args:
        card: The pretrained model.
        weight: ``(classes, d)``, where ``d`` is the width of the model's features.
        bias: ``(classes,)``.
    """
    if card.source == "bundled":  # without building the model: the last two tensors are its head
        state = BUILT_IN[card.name].state_dict()
        *_, weight_name, bias_name = state
        return {**state, weight_name: weight, bias_name: bias}
    module = load(card)
    set_head(module, weight, bias)
    return module.state_dict()
