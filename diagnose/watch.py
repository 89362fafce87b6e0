"""A watch on somebody's own training loop: a few numbers every so many steps, and the training does not notice.

>>> from diagnose.watch import watch
>>> with watch(model, optimizer, loss_fn) as seen:      # doctest: +SKIP
...     train()
>>> seen.observations()                                 # doctest: +SKIP
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from diagnose.findings import Evidence
from diagnose.probe import Certainty, Observation

LossFunction = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """What was noted at one update. Plain numbers; no tensor is kept.

    Attributes:
        step: Number of the update, from 0.
        loss: The loss function's last value.
        gradient_norm: Over the sampled tensors.
        training: Whether the model's last forward pass was in training mode.
        zero: Whether every sampled gradient was zero or missing.
        finite: Whether every sampled gradient was finite.
        stale: Whether the gradient still held the one of the step before.
    """

    step: int
    loss: float
    gradient_norm: float
    training: bool
    zero: bool
    finite: bool
    stale: bool


class Watch:
    """Notes a :class:`StepRecord` every ``every`` updates, through hooks that are gone at the end of the block.

    It draws no random number, changes no gradient and keeps no tensor beyond the step that it samples, so the training
    is the same to the last bit.

    Args:
        model: What trains.
        optimizer: Whose updates are counted.
        loss_fn: A module whose outputs are the loss; other callables are not observed.
        every: Updates between two samples.
        tensors: How many of the largest weight tensors are sampled.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss_fn: LossFunction | None = None,
        *,
        every: int = 50,
        tensors: int = 4,
    ) -> None:
        self.records: list[StepRecord] = []
        self._model, self._optimizer, self._every = model, optimizer, every
        self._loss_fn = loss_fn if isinstance(loss_fn, nn.Module) else None
        trainable = sorted((p for p in model.parameters() if p.requires_grad), key=lambda p: -p.numel())
        self._sampled = trainable[:tensors]
        self._handles: list[RemovableHandle] = []
        self._counter: RemovableHandle | None = None
        self._step, self._first = 0, True
        self._training, self._stale = model.training, False
        self._fresh: Tensor | None = None
        self._loss: Tensor | None = None

    def __enter__(self) -> Self:
        self._counter = self._optimizer.register_step_pre_hook(self._before)
        self._arm()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _t: TracebackType | None
    ) -> None:
        assert self._counter is not None
        self._counter.remove()
        self._disarm()

    def _arm(self) -> None:
        """Hooks for one sampled step: between samples only the optimizer's is there."""
        self._first = True
        self._handles.append(self._model.register_forward_pre_hook(self._forward))
        for parameter in self._sampled[:1]:
            self._handles.append(parameter.register_hook(self._incoming))  # type: ignore[no-untyped-call]
            accumulated = parameter.register_post_accumulate_grad_hook(self._accumulated)  # type: ignore[no-untyped-call]
            self._handles.append(accumulated)
        if self._loss_fn is not None:
            self._handles.append(self._loss_fn.register_forward_hook(self._note_loss))

    def _disarm(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._loss = self._fresh = None

    def _forward(self, module: nn.Module, _inputs: Any) -> None:
        self._training = module.training

    def _incoming(self, gradient: Tensor) -> None:
        if self._first:
            self._fresh = gradient.detach()

    def _accumulated(self, parameter: Tensor) -> None:
        """The first backward pass after an update: the gradient must be what came in, and nothing else."""
        fresh, self._fresh = self._fresh, None
        if fresh is None or parameter.grad is None:
            return
        self._first = False
        finite = bool(fresh.isfinite().all())  # what is not a number equals nothing
        self._stale = self._step > 0 and finite and not torch.equal(parameter.grad, fresh)

    def _note_loss(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            self._loss = output.detach()

    def _before(self, *_arguments: Any) -> None:
        if self._handles:
            self._record()
            self._disarm()
        self._step += 1
        if self._step % self._every == 0:
            self._arm()

    def _record(self) -> None:
        gradients = [p.grad.detach() for p in self._sampled if p.grad is not None]
        norm = math.sqrt(sum(float(g.float().square().sum()) for g in gradients))
        self.records.append(
            StepRecord(
                step=self._step,
                loss=float("nan") if self._loss is None else float(self._loss.float().mean()),
                gradient_norm=norm,
                training=self._training,
                zero=norm == 0,
                finite=math.isfinite(norm),
                stale=self._stale,
            )
        )

    def observations(self) -> list[Observation]:
        """What the samples say: the causes that a running training shows."""
        return observe(self.records)


def watch(model: nn.Module, optimizer: Optimizer, loss_fn: LossFunction | None = None, *, every: int = 50) -> Watch:
    """A :class:`Watch` as a context manager."""
    return Watch(model, optimizer, loss_fn, every=every)


def observe(records: list[StepRecord]) -> list[Observation]:
    """Observations from the samples of one training."""
    if not records:
        return []
    later = records[1:]
    rules = (
        ("no-update", [r.zero for r in records], "updates with no gradient", "zero_grad belongs before backward."),
        ("missing-zero-grad", [r.stale for r in later], "steps that began with an old gradient", "Call zero_grad()."),
        (
            "train-mode",
            [not r.training for r in later],
            "steps in evaluation mode",
            "Call model.train() before training.",
        ),
        (
            "gradient-flow",
            [not r.finite for r in records],
            "steps with a gradient that is not finite",
            "Lower the rate.",
        ),
    )
    seen = []
    for cause, flags, what, remedy in rules:
        share = sum(flags) / len(flags) if flags else 0.0
        seen.append(
            Observation(
                cause=cause,
                certainty=Certainty.SURE if share > 0.5 else Certainty.HINT if share > 0.1 else Certainty.NONE,
                message=f"{what.capitalize()}: {share:.0%} of the samples.",
                remedy=remedy,
                evidence=(Evidence(statistic=what, value=share, reference=0.1, sample_size=len(flags)),),
            )
        )
    return seen
