"""A run as features and a linear head on them: whatever has looked at a picture before, the run reads its row.

The features of a probe are those of the pretrained model, which stand in the store since it was fitted. A run whose
weights were all trained has a table of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from zoo import backbone, catalog, weights
from zoo.backbone import Backbone
from zoo.classifier import embed, final_layer_names, head_of
from zoo.errors import ModelError, ZooError
from zoo.probe import Head
from zoo.run import Run

#: Largest difference of a logit on a test image, as a share of the largest: rounding is all that may differ.
_TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Readout:
    """Where a run's features are, and what it makes of them.

    Attributes:
        backbone: Gives the features.
        head: Gives the logits.
    """

    backbone: Backbone
    head: Head


def readout(run: Run) -> Readout | None:
    """A run's features and head; ``None`` for a model that is more than a linear layer on features.

    Makes no network call.

    Raises:
        RunError: The run has no weights yet, or they are damaged.
    """
    module = run.module()
    try:
        head = _head(module)
        if not _agrees(module, head, run):
            return None
    except ModelError:  # it has no linear head, or no vector before it
        return None
    return Readout(backbone=_frozen(run, module) or backbone.of_run(run), head=head)


def _head(module: nn.Module) -> Head:
    layer = head_of(module)
    weight = layer.weight.detach().flatten(1).float().numpy()
    bias = np.zeros(len(weight), dtype=np.float32) if layer.bias is None else layer.bias.detach().float().numpy()
    return Head(weight=weight, bias=bias)


@torch.inference_mode()
def _agrees(module: nn.Module, head: Head, run: Run) -> bool:
    channels, (height, width) = run.preprocess.channels, run.preprocess.size
    image = torch.linspace(-1, 1, channels * height * width).view(1, channels, height, width)
    logits = module(image)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
        return False
    found = torch.from_numpy(head.logits(embed(module, image).numpy()))
    return torch.allclose(found, logits, atol=_TOLERANCE * max(1.0, float(logits.abs().max())))


def _frozen(run: Run, module: nn.Module) -> Backbone | None:
    """The pretrained model, where the run has its weights but for the head and they are at hand."""
    try:
        card = catalog.card(run.config.model, offline=True)
        before = weights.state_dict(card, offline=True)
        if card.preprocess != run.preprocess or not _same_but_head(module, before):
            return None
        return backbone.pretrained(card, offline=True)
    except ZooError:  # the weights have gone from this machine: the run's own serve as well
        return None


def _same_but_head(module: nn.Module, before: dict[str, torch.Tensor]) -> bool:
    heads = tuple(f"{name}." for name in final_layer_names(module))
    now = {name: tensor for name, tensor in module.state_dict().items() if not name.startswith(heads)}
    return {name for name in before if not name.startswith(heads)} == now.keys() and all(
        torch.equal(tensor, before[name]) for name, tensor in now.items()
    )
