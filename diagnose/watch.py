"""A watch on somebody's own training loop: a few numbers every so many steps, and the training does not notice.

>>> from diagnose.watch import watch
>>> with watch(model, optimizer, loss_fn) as seen:      # doctest: +SKIP
...     train()
>>> seen.observations()                                 # doctest: +SKIP
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from diagnose.probe import Observation
from diagnose.step_records import Coverage, StepRecord, observe

LossFunction = Callable[[Tensor, Tensor], Tensor]
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Bilinear)
_NAMED = 5  # tensors that a message names at most


class StepSampler:
    """Notes a :class:`StepRecord` every ``every`` updates, told of each update by :meth:`updated`.

    It draws no random number, changes no gradient and keeps no tensor beyond the step that it samples, so the training
    is the same to the last bit. After :meth:`end` it holds neither model nor tensor.

    Args:
        model: What trains.
        held: The parameters that the optimizer holds, asked anew at every sample.
        loss_fn: A module whose outputs are the loss; other callables are not observed. ``None`` where the model's own
            outputs have a ``loss``.
        every: Updates between two samples.
        tensors: How many of the largest weight tensors are sampled.
    """

    def __init__(
        self,
        model: nn.Module,
        held: Callable[[], Iterable[Tensor]],
        loss_fn: object = None,
        *,
        every: int = 50,
        tensors: int = 4,
    ) -> None:
        self.records: list[StepRecord] = []
        self.coverage: Coverage | None = None
        self.steps = 0
        self._model: nn.Module | None = model
        self._held, self._every, self._tensors = held, every, tensors
        self._loss_source = model if loss_fn is None else loss_fn if isinstance(loss_fn, nn.Module) else None
        self._sampled: list[Tensor] = []
        self._handles: list[RemovableHandle] = []
        self._first, self._stale = True, False
        self._training: bool | None = None
        self._head = ""
        self._reached: set[str] = set()
        self._fresh: Tensor | None = None
        self._loss: Tensor | None = None

    def begin(self) -> None:
        """Watch the first step."""
        assert self._model is not None
        for name, module in self._model.named_modules():
            if isinstance(module, _LAYERS):
                self._handles.append(module.register_forward_hook(partial(self._note_head, name)))
        self._arm()

    def updated(self) -> None:
        """One update is being made, or was just made, with the gradients that are there."""
        if self._handles:
            self._record()
            self._disarm()
        self.steps += 1
        if self.steps % self._every == 0:
            self._arm()

    def end(self) -> None:
        """Take all hooks away, and let go of the model. The records stay."""
        self._disarm()
        self._model = self._loss_source = None
        self._held = tuple

    def note_loss(self, loss: Tensor) -> None:
        """The loss of this step, where no module returns it."""
        if self._handles:
            self._loss = loss.detach()

    def observations(self) -> list[Observation]:
        """What the samples say: the causes that a running training shows."""
        return observe(self.records, self.coverage)

    def _arm(self) -> None:
        """Hooks for one sampled step: between samples there is none."""
        assert self._model is not None
        self._first, self._training = True, None
        own = {id(p) for p in self._model.parameters()}
        trained = {id(p): p for p in self._held() if p.requires_grad and id(p) in own}
        self._sampled = sorted(trained.values(), key=lambda p: -p.numel())[: self._tensors]
        self._handles.append(self._model.register_forward_pre_hook(self._forward))
        for parameter in self._sampled[:1]:
            self._handles.append(parameter.register_hook(self._incoming))  # type: ignore[no-untyped-call]
            accumulated = parameter.register_post_accumulate_grad_hook(self._accumulated)  # type: ignore[no-untyped-call]
            self._handles.append(accumulated)
        if self._loss_source is not None:
            self._handles.append(self._loss_source.register_forward_hook(self._note_output))

    def _disarm(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._sampled = []
        self._loss = self._fresh = None

    def _forward(self, module: nn.Module, _inputs: Any) -> None:
        if not torch.compiler.is_compiling():
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
        self._stale = self.steps > 0 and finite and not torch.equal(parameter.grad, fresh)

    def _note_output(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        if torch.compiler.is_compiling():
            return
        loss = output if isinstance(output, Tensor) else getattr(output, "loss", None)
        if isinstance(loss, Tensor) and (loss.ndim == 0 or self._loss_source is not self._model):
            self._loss = loss.detach()

    def _record(self) -> None:
        assert self._model is not None
        gradients = [p.grad.detach() for p in self._sampled if p.grad is not None]
        norm = math.sqrt(sum(float(g.float().square().sum()) for g in gradients))
        self.records.append(
            StepRecord(
                step=self.steps,
                loss=float("nan") if self._loss is None else float(self._loss.float().mean()),
                gradient_norm=norm,
                training=self._model.training if self._training is None else self._training,
                zero=norm == 0 and not any(p.grad is not None and bool(p.grad.any()) for p in self._held()),
                finite=math.isfinite(norm),
                stale=self._stale,
            )
        )
        self.coverage = self._covered(self._model)

    def _covered(self, model: nn.Module) -> Coverage:
        named = dict(model.named_parameters())
        held = {id(p) for p in self._held()}
        self._reached |= {name for name, p in named.items() if p.grad is not None}
        reached = self._reached or named.keys()  # nothing at all has a gradient: that has a name of its own
        trained = [name for name, p in named.items() if p.requires_grad and id(p) in held]
        names = list(named)
        begun = names.index(trained[0]) if trained else len(names)
        forgotten = [n for n in names[begun:] if named[n].requires_grad and id(named[n]) not in held]
        total = max(1, sum(p.numel() for p in named.values()))
        share = sum(named[n].numel() for n in trained) / total
        return Coverage(
            head=self._head,
            head_trains=any(n.rpartition(".")[0] == self._head and n in reached for n in trained),
            forgotten=tuple(forgotten[:_NAMED]),
            forgotten_share=sum(named[n].numel() for n in forgotten) / total,
            trained=share,
            unreached=sum(n not in reached for n in trained) / max(1, len(trained)),
            modes=_has_modes(model, share),
        )

    def _note_head(self, name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        """The last layer whose output is a row a picture and has a gradient to hand on: a teacher's has none."""
        if (
            not torch.compiler.is_compiling()
            and isinstance(output, Tensor)
            and output.ndim == 2
            and output.requires_grad
        ):
            self._head = name


def _has_modes(model: nn.Module, trained: float) -> bool:
    """Whether the mode matters: a frozen backbone in evaluation mode under a head that trains is how probing is done."""
    modules = list(model.modules())
    dropout = any(isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0 for m in modules)  # noqa: SLF001
    normed = any(isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats for m in modules)  # noqa: SLF001
    return dropout or (normed and trained > 0.5)


class Watch:
    """A :class:`StepSampler` that counts the updates of an optimizer, as a context manager.

    Args:
        model: What trains.
        optimizer: Whose updates are counted.
        loss_fn: As in :class:`StepSampler`.
        every: Updates between two samples.
    """

    def __init__(
        self, model: nn.Module, optimizer: Optimizer, loss_fn: LossFunction | None = None, *, every: int = 50
    ) -> None:
        self._optimizer: Optimizer | None = optimizer
        self._counter: RemovableHandle | None = None
        self._sampler = StepSampler(model, parameters_of(optimizer), loss_fn, every=every)

    @property
    def records(self) -> list[StepRecord]:
        """What was noted, by update."""
        return self._sampler.records

    def observations(self) -> list[Observation]:
        """What the samples say: the causes that a running training shows."""
        return self._sampler.observations()

    def __enter__(self) -> Self:
        assert self._optimizer is not None
        # After the update: where a closure is handed to step, the gradient comes about inside it.
        self._counter = self._optimizer.register_step_post_hook(self._after)
        self._sampler.begin()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _t: TracebackType | None
    ) -> None:
        assert self._counter is not None
        self._counter.remove()
        self._optimizer = None
        self._sampler.end()

    def _after(self, *_arguments: Any) -> None:
        self._sampler.updated()


def parameters_of(optimizer: Optimizer) -> Callable[[], Iterable[Tensor]]:
    """What asks the optimizer for all that it holds."""
    return lambda: [p for group in optimizer.param_groups for p in group["params"]]


def watch(model: nn.Module, optimizer: Optimizer, loss_fn: LossFunction | None = None, *, every: int = 50) -> Watch:
    """A :class:`Watch` as a context manager."""
    return Watch(model, optimizer, loss_fn, every=every)
