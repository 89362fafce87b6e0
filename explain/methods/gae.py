"""GAE: attention times its gradient, propagated from layer to layer.

Chefer, Gur & Wolf, "Generic attention-model explainability for interpreting bi-modal and encoder-decoder transformers",
ICCV 2021, arXiv:2103.15679.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from explain.attribution import METHODS, Attribution, Method, Task
from explain.layout import Layout
from explain.structure import Structure, logits


@dataclass(frozen=True, kw_only=True)
class GAE(Method):
    """Relevance of each patch for the class token, or for the mean of the patches where that is pooled."""

    attention = True

    def obstacle(self, structure: Structure) -> str:
        """Needs global attention over one grid."""
        return "" if structure.attention else "the model has no global attention over one grid of tokens"

    def attribute(self, task: Task) -> Attribution:
        """Maps on the grid of tokens."""
        layout = tokens_of(task.structure)
        scores, matrices = capture_attention(task)
        gradients = torch.autograd.grad(scores.sum(), matrices)
        tokens = matrices[0].shape[-1]
        relevance = torch.eye(tokens, device=scores.device).expand(len(scores), -1, -1)
        for matrix, gradient in zip(matrices, gradients, strict=True):
            step = (matrix.detach() * gradient).float().clamp_min(0).mean(1)
            relevance = relevance + step @ relevance
        pooled = relevance[:, 0] if _pools_class_token(task.model, layout) else relevance[:, layout.prefix :].mean(1)
        return Attribution(
            maps=layout.to_grid(pooled[:, :, None]).sum(1),
            method="gae",
            layer=f"{task.structure.attention[0]} to {task.structure.attention[-1]}",
        )


def _pools_class_token(model: nn.Module, layout: Layout) -> bool:
    return layout.prefix > 0 and getattr(model, "global_pool", "token") == "token"


def tokens_of(structure: Structure) -> Layout:
    """The layout of the tokens that global attention runs over."""
    assert structure.tokens is not None, "obstacle() was asked first"
    return structure.tokens


def capture_attention(task: Task) -> tuple[Tensor, list[Tensor]]:
    """Scores ``(n,)`` and the attention matrices ``(n, heads, tokens, tokens)`` that they depend on, in order."""
    matrices: list[Tensor] = []

    def keep(_module: nn.Module, _args: Any, output: Any) -> None:
        matrices.append(output)

    handles = [task.model.get_submodule(p).register_forward_hook(keep) for p in task.structure.attention]
    try:
        scores = logits(task.model(task.inputs.requires_grad_()))
    finally:
        for handle in handles:
            handle.remove()
    return (scores.float() * task.weights).sum(1), matrices


METHODS.register("gae")(GAE())
