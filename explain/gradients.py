"""Features and gradients at layers inside a model, for the price of little more than a forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from explain.attribution import Task
from explain.errors import AttributionError
from explain.structure import Site, logits, tensor_of


def gradient_at(task: Task, site: Site) -> tuple[Tensor, Tensor]:
    """Features and gradients ``(n, channels, rows, columns)`` at one site; see ``gradients_at``."""
    return gradients_at(task, (site,))[0]


def gradients_at(task: Task, sites: Sequence[Site]) -> list[tuple[Tensor, Tensor]]:
    """Features and gradients ``(n, channels, rows, columns)`` at sites of one pass, in float32.

    The pass up to the earliest site builds no graph; the pass back stops there. That is what makes CAM methods cheap.

    Args:
        task: Model, images and targets.
        sites: The deepest first.

    Raises:
        AttributionError: A gradient is zero everywhere (the layer does not reach the score), or a layout is wrong.
    """
    kept: dict[Site, Tensor] = {}
    handles = [_keep(task.model, site, kept, is_first=site is sites[-1]) for site in sites]
    try:
        with torch.no_grad():
            scores = logits(task.model(task.inputs))
        score = (scores.float() * task.weights).sum()
        found: Sequence[Tensor | None] = [None] * len(sites)
        if score.requires_grad and len(kept) == len(sites):
            found = torch.autograd.grad(score, [kept[site] for site in sites], allow_unused=True)
    finally:
        for handle in handles:
            handle.remove()
    pairs = []
    for site, gradient in zip(sites, found, strict=True):
        if gradient is None or not bool((grid := site.layout.to_grid(gradient)).any()):
            raise AttributionError(
                f"the gradient at {site} is zero everywhere: the layer does not reach the score.",
                remedy="Name an earlier layer.",
            )
        pairs.append((site.layout.to_grid(kept[site].detach()).float(), grid.float()))
    return pairs


def _keep(
    model: nn.Module, site: Site, kept: dict[Site, Tensor], *, is_first: bool
) -> torch.utils.hooks.RemovableHandle:
    """Hook a site: its output is kept; at the first one the graph begins."""
    seen = 0

    def keep(_module: nn.Module, _args: Any, output: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen - 1 != site.call:
            return None
        tensor = tensor_of(output)
        assert tensor is not None, "a site's output is a tensor"
        kept[site] = tensor.detach().requires_grad_() if is_first else tensor
        torch.set_grad_enabled(True)
        # A copy goes on, because the next layer may work in place.
        copied = kept[site].clone()
        return copied if isinstance(output, Tensor) else (copied, *output[1:])

    return model.get_submodule(site.path).register_forward_hook(keep)
