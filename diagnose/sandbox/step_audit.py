"""What the person's training step does to a model: gradients, updates, modes, against plain cross-entropy."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any, Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from diagnose.sandbox.measurements import OverfitFacts, StepFacts
from diagnose.sandbox.parts import batches, reference_loss
from diagnose.sandbox.pictures import Pictures, Transformed, is_random, stack
from diagnose.sandbox.watching import ForwardModes, StepNorms, without_autocast
from diagnose.sandbox.workbench import Built, Workbench, evaluating, logits_of, seed_everything

R = TypeVar("R")
_CALLS = 6
_MOST_CALLS = 64  # somebody accumulates gradients over as many
_WATCHED = 8


def audit_step(bench: Workbench) -> StepFacts:
    """Run their step some times on one batch and note what happens around each update."""
    built = bench.build()
    inputs, targets = one_batch(bench, built)
    reference, cross_entropy = _reference_gradient(built, inputs, targets, bench.seed)
    before = {n: p.detach().clone() for n, p in built.model.named_parameters()}
    watch = _Updates(built, reference)
    modes, norms = ForwardModes(built.model), StepNorms(built.optimizer)
    losses: list[float] = []
    with watch, modes, norms:
        while len(losses) < _CALLS or (watch.updates == 0 and len(losses) < _MOST_CALLS):
            seed_everything(bench.seed)
            loss = built.parts.train_step(built.model, inputs, targets, built.loss, built.optimizer)
            losses.append(float("nan") if loss is None else float(torch.as_tensor(loss).detach()))
            if len(losses) == _CALLS - 1:
                modes.phase = "evaluate"
                _evaluate_once(bench, built)
                modes.phase = "step"
            if bench.late:
                break
    held = {id(p) for group in built.optimizer.param_groups for p in group["params"]}
    trained = [(n, p) for n, p in built.model.named_parameters() if p.requires_grad and id(p) in held]
    moved = [not torch.equal(p.detach(), before[n]) for n, p in trained]
    reached = [m or n in watch.reached for m, (n, _) in zip(moved, trained, strict=True)]
    new = [r for r, (_, p) in zip(reached, trained, strict=True) if id(p) not in built.filled]
    return StepFacts(
        calls=len(losses),
        updates=watch.updates,
        stale=watch.stale / max(1, watch.followed),
        empty=watch.empty / max(1, watch.updates),
        moved=float(np.mean(moved)) if moved else 0.0,
        reached=float(np.mean(reached)) if reached else 0.0,
        new_reached=float(np.mean(new)) if new else 1.0,
        agreement=watch.agreement,
        kept=float(np.median(norms.kept)) if norms.kept else 1.0,
        zeros=watch.zeros,
        finite=watch.finite,
        initial_loss=losses[0],
        cross_entropy=cross_entropy,
        vanishing=_vanishing(built.model, reference),
        training=modes.share("step"),
        half=watch.half,
        rescued=watch.half and 0 < watch.updates == watch.empty and _gradient_in_float32(bench),
    )


def _gradient_in_float32(bench: Workbench) -> bool:
    """Whether their step finds a gradient at its first update once autocast is kept off."""
    built = bench.build()
    inputs, targets = one_batch(bench, built)
    with _Updates(built, {}) as watch, without_autocast(active=True):
        for _ in range(_MOST_CALLS):
            built.parts.train_step(built.model, inputs, targets, built.loss, built.optimizer)
            if watch.updates or bench.late:
                break
    return watch.updates > watch.empty


def one_batch(bench: Workbench, built: Built) -> tuple[Tensor, Tensor]:
    """A batch over all classes through the evaluation transform."""
    count = min(built.parts.batch_size, 32, len(bench.pictures.train))
    positions = torch.linspace(0, len(bench.pictures.train) - 1, max(2, count)).long().tolist()
    inputs = stack([bench.pictures.train[i] for i in positions], built.eval_transform)
    return inputs, torch.tensor([bench.pictures.train_labels[i] for i in positions])


def _reference_gradient(built: Built, inputs: Tensor, targets: Tensor, seed: int) -> tuple[dict[str, Tensor], float]:
    """Cross-entropy of a copy of the fresh model, and its gradient by parameter name."""
    model = copy.deepcopy(built.model)
    seed_everything(seed)
    model.train()
    outputs = logits_of(model(inputs)).float()
    usable = targets < outputs.shape[1]
    loss = reference_loss(outputs[usable], targets[usable])
    if not loss.requires_grad:
        return {}, float(loss)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = {n: p.grad.detach().float() for n, p in model.named_parameters() if p.grad is not None}
    return gradients, float(loss.detach())


def _evaluate_once(bench: Workbench, built: Built) -> None:
    if built.parts.evaluate is None:
        return
    few = bench.pictures.subset(0, 16, bench.seed)
    data = Transformed(few.validation, few.validation_labels, built.eval_transform)
    built.parts.evaluate(built.model, batches(data, built.parts, train=False))


class _Updates:
    """Watches every update of an optimizer."""

    def __init__(self, built: Built, reference: dict[str, Tensor]) -> None:
        self._built, self._reference = built, reference
        self._named = {n: p for n, p in built.model.named_parameters() if p.requires_grad}
        self._incoming: dict[str, Tensor] = {}
        self._pending: set[str] = set()
        self.reached: set[str] = set()
        self._handles: list[Any] = []
        self.updates = self.stale = self.followed = self.empty = 0
        self.agreement, self.zeros = 1.0, 0.0
        self.finite, self.half = True, False

    def __enter__(self) -> Self:
        biggest = sorted(self._named, key=lambda n: -self._named[n].numel())[:_WATCHED]
        for name in biggest:
            parameter = self._named[name]
            self._handles.append(
                parameter.register_hook(lambda g, n=name: self._incoming.update({n: g.detach().clone()}))  # type: ignore[no-untyped-call]
            )
            hook = lambda p, n=name: self._accumulated(n, p)  # noqa: E731
            self._handles.append(parameter.register_post_accumulate_grad_hook(hook))  # type: ignore[no-untyped-call]
        self._handles.append(self._built.optimizer.register_step_pre_hook(self._before))
        self._handles.append(self._built.model.register_forward_hook(self._forward))
        return self

    def __exit__(self, *_error: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _forward(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        self.half = self.half or logits_of(output).dtype == torch.float16

    def _accumulated(self, name: str, parameter: Tensor) -> None:
        """The first backward after an update: is the gradient the new one only?"""
        if name not in self._pending:
            return
        self._pending.discard(name)
        assert parameter.grad is not None
        fresh = self._incoming[name]
        size = float(fresh.norm())
        if size == 0:
            return
        self.followed += 1
        self.stale += float((parameter.grad - fresh).norm()) > 1e-3 * size

    def _before(self, *_arguments: Any) -> None:
        self.updates += 1
        gradients = {n: p.grad.detach().float() for n, p in self._named.items() if p.grad is not None}
        found = {n for n, g in gradients.items() if bool(g.any())}
        self.reached |= found
        self.empty += not found
        self.finite = self.finite and all(bool(g.isfinite().all()) for g in gradients.values())
        if self.updates == 1:
            self._compare(gradients)
        self._pending = set(self._named)

    def _compare(self, gradients: dict[str, Tensor]) -> None:
        shared = [n for n in gradients if n in self._reference]
        if not shared:
            return
        own = torch.cat([gradients[n].flatten() for n in shared])
        plain = torch.cat([self._reference[n].flatten() for n in shared])
        if bool(own.any()):
            self.agreement = float(nn.functional.cosine_similarity(own, plain, dim=0))
        self.zeros = float((own == 0).float().mean() - (plain == 0).float().mean())


def _vanishing(model: nn.Module, gradients: dict[str, Tensor]) -> float:
    """Gradient-to-weight ratio of the first quarter of the weight matrices over that of the last quarter (medians)."""
    weights = {n: p for n, p in model.named_parameters() if p.ndim > 1 and n in gradients}
    ratios = [float(gradients[n].norm() / p.detach().float().norm().clamp_min(1e-12)) for n, p in weights.items()]
    quarter = max(1, len(ratios) // 4)
    if len(ratios) < 3:
        return 1.0
    return float(np.median(ratios[:quarter]) / max(np.median(ratios[-quarter:]), 1e-30))


def overfit(bench: Workbench) -> OverfitFacts:
    """Their step on one batch of 16 pictures, up to 100 times."""
    few: Pictures = bench.pictures.subset(16, 0, bench.seed)
    built = bench.build()
    feeding, _ = _timed(lambda: stack(few.train, built.train_transform))
    inputs = stack(few.train, built.eval_transform)
    targets = torch.tensor(few.train_labels)
    looking, first = _timed(lambda: _mean_loss(built, inputs, targets))
    later, _ = _timed(lambda: _mean_loss(built, inputs, targets))
    started, steps = time.monotonic(), 0
    while steps < 100 and time.monotonic() - started < 60 and not bench.late:
        built.parts.train_step(built.model, inputs.clone(), targets.clone(), built.loss, built.optimizer)
        steps += 1
    stepping = (time.monotonic() - started) / max(1, steps)
    with evaluating(built.model, training=True):
        outputs = logits_of(built.model(inputs)).float()
    accuracy = float((outputs.argmax(1) == targets).float().mean())
    last = _mean_loss(built, inputs, targets)
    again = feeding if is_random(built.train_transform, few.train) else 0.0
    return OverfitFacts(
        images=len(targets),
        steps=steps,
        first_loss=first,
        last_loss=last,
        accuracy=accuracy,
        first=max(0.0, looking - later) / len(targets),
        once=(later + feeding - again) / len(targets),
        each=(stepping + again) / len(targets),
    )


def _timed(action: Callable[[], R]) -> tuple[float, R]:
    """How many seconds something takes, and what it gives."""
    started = time.monotonic()
    result = action()
    return time.monotonic() - started, result


def _mean_loss(built: Built, inputs: Tensor, targets: Tensor) -> float:
    with evaluating(built.model, training=True):
        outputs = logits_of(built.model(inputs)).float()
    usable = targets < outputs.shape[1]
    return float(reference_loss(outputs[usable], targets[usable]))
