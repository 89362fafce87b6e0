"""A model is handed back as it came: modes, hooks, gradients, attention kernels, random state; after errors too."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_backward_hooks",
    "_backward_pre_hooks",
)


@dataclass(frozen=True, kw_only=True)
class _Module:
    module: nn.Module
    training: bool
    fused: bool | None
    hooks: dict[str, dict[int, Any]]

    @classmethod
    def of(cls, module: nn.Module) -> _Module:
        hooks = {name: dict(getattr(module, name)) for name in _HOOKS if hasattr(module, name)}
        return cls(module=module, training=module.training, fused=getattr(module, "fused_attn", None), hooks=hooks)

    def restore(self) -> None:
        self.module.training = self.training
        if self.fused is not None:
            setattr(self.module, "fused_attn", self.fused)  # noqa: B010 - no attribute that every module has
        for name, before in self.hooks.items():
            now = getattr(self.module, name)
            if list(now) != list(before):
                now.clear()
                now.update(before)


@dataclass(frozen=True, kw_only=True)
class _Parameter:
    parameter: nn.Parameter
    requires_grad: bool
    grad: Tensor | None

    def restore(self) -> None:
        self.parameter.requires_grad_(self.requires_grad)
        if self.parameter.grad is not self.grad:
            self.parameter.grad = self.grad


@contextmanager
def _same_random_state(model: nn.Module) -> Iterator[None]:
    devices = {p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"}
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 - Captum draws from it
    with torch.random.fork_rng(devices=sorted(devices)):
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)


@contextmanager
def isolated(model: nn.Module, *, attention: bool = False) -> Iterator[None]:
    """Lend ``model`` for attribution: evaluation mode, parameters without gradients, autograd on.

    Works on frozen models and under ``no_grad`` or ``inference_mode``; autocast stays as the caller set it. Modes,
    hooks, ``grad``, ``requires_grad``, ``fused_attn`` and the random states of torch, numpy and Python are put back on
    leaving.

    Args:
        model: The classifier.
        attention: Switch timm's fused attention off, so that attention matrices exist and can be hooked.
    """
    modules = [_Module.of(module) for module in model.modules()]
    parameters = [_Parameter(parameter=p, requires_grad=p.requires_grad, grad=p.grad) for p in model.parameters()]
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(_same_random_state(model))
        try:
            model.eval()
            for saved in parameters:
                saved.parameter.requires_grad_(False)  # noqa: FBT003 - torch takes it by position only
            for state in modules:
                if attention and state.fused:
                    setattr(state.module, "fused_attn", False)  # noqa: B010
            yield
        finally:
            for state in modules:
                state.restore()
            for saved in parameters:
                saved.restore()


def seeded(seed: int, device: torch.device) -> torch.Generator:
    """A generator of its own on ``device``: the same seed gives the same numbers, and nobody else's state moves."""
    return torch.Generator(device=device).manual_seed(seed)
