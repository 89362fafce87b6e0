"""Observers that a training loop does not notice: modes at each forward pass, gradient norms at each update."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle


class ForwardModes:
    """Counts, per phase, how many forward passes found the model in training mode."""

    def __init__(self, model: nn.Module) -> None:
        self.phase = "first"
        self._model = model
        self._seen: dict[str, list[bool]] = defaultdict(list)
        self._handle: RemovableHandle | None = None

    def share(self, phase: str) -> float:
        """Share of the phase's passes in training mode; for no passes at all 1 in steps and 0 in evaluation."""
        seen = self._seen[phase]
        return sum(seen) / len(seen) if seen else float(phase == "step")

    def __enter__(self) -> Self:
        def note(module: nn.Module, _inputs: Any) -> None:
            self._seen[self.phase].append(module.training)

        self._handle = self._model.register_forward_pre_hook(note)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _t: TracebackType | None
    ) -> None:
        assert self._handle is not None
        self._handle.remove()


class StepNorms:
    """Gradient norms after backward and at the update; can put back what clipping took.

    Args:
        optimizer: Whose updates are watched.
        keep_clipping: Where false the gradients are restored to their length after backward.
    """

    def __init__(self, optimizer: Optimizer, *, keep_clipping: bool = True) -> None:
        self._optimizer = optimizer
        self._keep_clipping = keep_clipping
        self._handles: list[RemovableHandle] = []
        self._squares: dict[int, float] = {}
        self.kept: list[float] = []

    @property
    def clipped(self) -> float:
        """Share of updates whose gradient had been shortened to under half."""
        return sum(k < 0.5 for k in self.kept) / len(self.kept) if self.kept else 0.0

    def __enter__(self) -> Self:
        def accumulated(parameter: Tensor) -> None:
            assert parameter.grad is not None
            self._squares[id(parameter)] = float(parameter.grad.detach().float().square().sum())

        for parameter in self._parameters():
            if parameter.is_leaf and parameter.requires_grad:
                self._handles.append(parameter.register_post_accumulate_grad_hook(accumulated))  # type: ignore[no-untyped-call]
        self._handles.append(self._optimizer.register_step_pre_hook(self._before))
        return self

    def _before(self, *_arguments: Any) -> None:
        now = sum(float(p.grad.detach().float().square().sum()) for p in self._parameters() if p.grad is not None)
        after_backward = sum(self._squares.values())
        self._squares.clear()
        if after_backward <= 0 or now <= 0:
            return
        kept = (now / after_backward) ** 0.5
        if _is_unscaling(kept):
            return
        self.kept.append(kept)
        if not self._keep_clipping and kept < 1:
            for parameter in self._parameters():
                if parameter.grad is not None:
                    parameter.grad.detach().div_(kept)

    def _parameters(self) -> Iterator[Tensor]:
        for group in self._optimizer.param_groups:
            yield from group["params"]

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _t: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()


def _is_unscaling(kept: float) -> bool:
    """Whether a gradient was divided by a power of two from 128 up: the gradient scaler of mixed precision."""
    power = -math.log2(kept)
    return power > 6.5 and abs(power - round(power)) < 1e-3


@contextmanager
def without_autocast(*, active: bool) -> Iterator[None]:
    """Where active, every ``torch.autocast`` inside the block does nothing."""
    if not active:
        yield
        return
    original = torch.autocast.__enter__

    def enter(self: torch.autocast) -> Any:
        self._enabled = False
        return original(self)  # type: ignore[no-untyped-call]

    torch.autocast.__enter__ = enter  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.autocast.__enter__ = original  # type: ignore[method-assign]
