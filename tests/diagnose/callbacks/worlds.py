"""A small network and small data for the callbacks, the same each time."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def network() -> nn.Sequential:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(20, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2))
    return nn.Sequential(body, nn.Linear(32, 4))


def items(count: int = 64) -> list[tuple[Tensor, Tensor]]:
    """Rows whose class is the largest of four sums: something can be learnt."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(count, 20, generator=generator)
    labels = inputs.view(count, 4, 5).sum(2).argmax(1)
    return list(zip(inputs, labels, strict=True))


def same(first: nn.Module, second: nn.Module) -> bool:
    """Whether all weights and statistics are the same to the last bit."""
    one, other = first.state_dict(), second.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def hookless(model: nn.Module) -> bool:
    """Whether no hook is left on any module or parameter."""
    modules = all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    return modules and all(not p._backward_hooks and not p._post_accumulate_grad_hooks for p in model.parameters())


def named(findings) -> dict[str, str]:
    """Causes with how sure they are."""
    return {finding.cause: finding.certainty.name for finding in findings}
