"""A classifier seen as features and a last linear layer, whatever library it comes from.

Everything that reads features or fits a head relies on one identity, which the tests hold for every family:
``module(x) == head_of(module)(embed(module, x))`` in evaluation mode.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from zoo.errors import ModelError

Layer = nn.Linear | nn.Conv2d


def head_of(module: nn.Module) -> Layer:
    """The final classification layer of a timm, torchvision or own model.

    A model that averages two heads on two vectors (distilled DeiT and LeViT, CrossViT) is one linear layer on both
    vectors side by side; that layer is made and returned, and does not share memory with the model.

    Raises:
        ModelError: The model ends in features, without a classification layer.
    """
    layers = _final_layers(module)
    if not layers:
        raise ModelError(
            f"The model {type(module).__name__} has no classification layer: it ends in features.",
            remedy="Fine-tune it first; zoo.classifier.set_head gives it a layer.",
        )
    return layers[0] if len(layers) == 1 else _merged(layers)


def embed(module: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """The pooled features ``(n, d)`` that the last layer sees, for a batch ``(n, channels, height, width)``.

    Runs the module as it is: mode, gradients and precision are the caller's affair.

    Raises:
        ModelError: The model gives feature maps rather than one vector an image.
    """
    layers = _final_layers(module)
    if not layers:
        return _vector(module(batch), module)
    seen: dict[int, torch.Tensor] = {}

    def keep(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen[id(layer)] = inputs[0]

    hooks = [layer.register_forward_pre_hook(keep) for layer in layers]
    try:
        module(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.cat([_vector(seen[id(layer)], module) for layer in layers], dim=1)


def set_head(module: nn.Module, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Replace the last layer, in place, by one with these values; the model then has ``len(bias)`` classes.

    Args:
        module: A timm, torchvision or own model. One that ends in features gets a layer.
        weight: ``(classes, d)``, where ``d`` is the width of :func:`embed`.
        bias: ``(classes,)``.

    Raises:
        ModelError: ``weight`` does not fit the model's features.
    """
    if not _final_layers(module):
        reset: Any = module.reset_classifier  # timm's models that end in features
        reset(len(bias))
    layers = _final_layers(module)
    widths = [_width(layer) for layer in layers]
    if weight.shape != (len(bias), sum(widths)):
        raise ModelError(
            f"The head's weight must have the shape ({len(bias)}, {sum(widths)}). Got {tuple(weight.shape)} instead.",
            remedy="Fit the head on features of this very model.",
        )
    for layer, part in zip(layers, torch.split(weight, widths, dim=1), strict=True):
        # The model averages its heads, so each carries its part times their number.
        _replace(module, layer, _like(layer, part * len(layers), bias))
    for owner in module.modules():
        if isinstance(getattr(owner, "num_classes", None), int):
            owner.num_classes = len(bias)  # type: ignore[assignment]


def final_layer_names(module: nn.Module) -> list[str]:
    """The dotted names of the layers that :func:`set_head` replaces: one, or more where heads are averaged."""
    layers = _final_layers(module)
    return [name for name, child in module.named_modules() if any(child is layer for layer in layers)]


def _final_layers(module: nn.Module) -> list[Layer]:
    """The layers whose mean is the logits: one, or two or more in models with several heads; none without a head."""
    get_classifier: Any = getattr(module, "get_classifier", None)
    if get_classifier is not None:
        found = get_classifier()
        heads = list(found) if isinstance(found, tuple | list | nn.ModuleList) else [found]
        if len(heads) == 1 and isinstance(getattr(found, "head_dist", None), nn.Module):  # RepViT
            heads = [found.head, found.head_dist]
    else:
        heads = [module]
    layers = [_last_linear(head) for head in heads]
    return [layer for layer in layers if layer is not None]


def _last_linear(module: nn.Module | None) -> Layer | None:
    linear = [layer for layer in module.modules() if isinstance(layer, Layer)] if module is not None else []
    return linear[-1] if linear else None


def _width(layer: Layer) -> int:
    return layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels


def _vector(features: object, module: nn.Module) -> torch.Tensor:
    if isinstance(features, torch.Tensor):
        if features.ndim == 4 and features.shape[2:] == (1, 1):  # before a 1 x 1 convolution that serves as a head
            features = features.flatten(1)
        if features.ndim == 2:
            return features
    raise ModelError(
        f"The model {type(module).__name__} gives feature maps, not one vector an image.",
        remedy="Choose another model: zoo list",
    )


def _like(layer: Layer, weight: torch.Tensor, bias: torch.Tensor) -> Layer:
    """A layer of the same kind, device and precision with these values."""
    new: Layer
    if isinstance(layer, nn.Linear):
        new = nn.Linear(layer.in_features, len(bias))
    else:
        new = nn.Conv2d(layer.in_channels, len(bias), 1)
    new.to(device=layer.weight.device, dtype=layer.weight.dtype)
    with torch.no_grad():
        new.weight.copy_(weight.reshape(new.weight.shape))
        assert new.bias is not None
        new.bias.copy_(bias)
    return new.train(layer.training)


def _replace(module: nn.Module, old: nn.Module, new: nn.Module) -> None:
    name = next(name for name, child in module.named_modules() if child is old)
    owner, _, attribute = name.rpartition(".")
    setattr(module.get_submodule(owner), attribute, new)


def _merged(layers: list[Layer]) -> nn.Linear:
    weight = torch.cat([layer.weight.detach().flatten(1) for layer in layers], dim=1) / len(layers)
    biases = [torch.zeros_like(layer.weight[:, 0]) if layer.bias is None else layer.bias.detach() for layer in layers]
    merged = nn.Linear(weight.shape[1], weight.shape[0]).to(weight)
    with torch.no_grad():
        merged.weight.copy_(weight)
        merged.bias.copy_(torch.stack(biases).mean(0))
    return merged
