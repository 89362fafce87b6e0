"""Batch-norm statistics, estimated anew."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn


def has_statistics(model: nn.Module) -> bool:
    """Whether any batch-norm layer keeps statistics."""
    return bool(_layers(model))


def restate(model: nn.Module, run: Callable[[], object]) -> bool:
    """Average every batch-norm layer's statistics over what ``run`` passes through the model; false without such layers.

    Args:
        model: Changed in place; its momenta are as before afterwards.
        run: Passes pictures through the model, which must be in training mode meanwhile.
    """
    norms = _layers(model)
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average
    try:
        if norms:
            run()
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    return bool(norms)


def _layers(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001 - their base
    return [m for m in norms if m.track_running_stats]
