"""LeGrad: gradients of each layer's own score with respect to its attention.

Bousselham et al., "LeGrad: an explainability method for vision transformers via feature formation sensitivity", ICCV
2025, arXiv:2404.03214.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from explain.attribution import METHODS, Attribution, Method, Task
from explain.methods.gae import capture_attention, tokens_of
from explain.structure import Structure, logits


@dataclass(frozen=True, kw_only=True)
class LeGrad(Method):
    """Positive part of the gradient to the attention, averaged over heads, queries and layers; never negative.

    A layer's own score is the model's head applied to the tokens that leave the layer, where the model has ``norm`` and
    ``forward_head`` (timm); elsewhere the final score stands in for it.
    """

    attention = True

    def obstacle(self, structure: Structure) -> str:
        """Needs global attention over one grid."""
        return "" if structure.attention else "the model has no global attention over one grid of tokens"

    def attribute(self, task: Task) -> Attribution:
        """Maps on the grid of tokens."""
        layout = tokens_of(task.structure)
        streams, handles = _watch_blocks(task)
        try:
            scores, matrices = capture_attention(task)
        finally:
            for handle in handles:
                handle.remove()
        total = torch.zeros(len(task.inputs), matrices[0].shape[-1], device=task.inputs.device)
        for k, matrix in enumerate(matrices):
            last = k == len(matrices) - 1
            score = scores if last or len(streams) != len(matrices) else _score_of(task, streams[k])
            gradient = torch.autograd.grad(score.sum(), matrix, retain_graph=True)[0]
            total += gradient.float().clamp_min(0).mean((1, 2))
        return Attribution(
            maps=layout.to_grid(total[:, :, None] / len(matrices)).sum(1),
            method="legrad",
            layer=f"{task.structure.attention[0]} to {task.structure.attention[-1]}",
        )


def _watch_blocks(task: Task) -> tuple[list[Tensor], list[torch.utils.hooks.RemovableHandle]]:
    """The tokens that leave each block, filled in by the next pass; none where the model has no timm head."""
    streams: list[Tensor] = []
    blocks = getattr(task.model, "blocks", None)
    if not all(hasattr(task.model, name) for name in ("norm", "forward_head")) or not isinstance(blocks, nn.Sequential):
        return streams, []

    def keep(_module: nn.Module, _args: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            streams.append(output)

    return streams, [block.register_forward_hook(keep) for block in blocks]


def _score_of(task: Task, stream: Tensor) -> Tensor:
    model: Any = task.model
    return (logits(model.forward_head(model.norm(stream))).float() * task.weights).sum(1)


METHODS.register("legrad")(LeGrad())
