"""What every experiment starts from: the two algorithms, the pictures, a variant, a seed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from diagnose.sandbox.matching import matched_transform
from diagnose.sandbox.measurements import LoadCall, Variant
from diagnose.sandbox.parts import LossFunction, Parts, Transform, choose, defined
from diagnose.sandbox.pictures import Pictures, stack


@dataclass(frozen=True, kw_only=True)
class Built:
    """The parts of one variant, made: what a training loop holds in its hands.

    ``filled`` has the ``id`` of every parameter that came from a checkpoint.
    """

    parts: Parts
    model: nn.Module
    loss: LossFunction
    optimizer: Optimizer
    train_transform: Transform
    eval_transform: Transform
    loads: tuple[LoadCall, ...]
    filled: frozenset[int]


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """The worker's state; experiments read it and change nothing of it.

    Attributes:
        deadline: When the experiment should be done, in ``time.monotonic`` seconds.
    """

    theirs: ModuleType
    known_good: ModuleType
    pictures: Pictures
    variant: Variant = field(default_factory=Variant)
    data: str = "theirs"
    seed: int = 0
    deadline: float = float("inf")

    @property
    def num_classes(self) -> int:
        """How many classes the pictures have."""
        return len(self.pictures.classes)

    @property
    def late(self) -> bool:
        """Whether the time for this experiment is over."""
        return time.monotonic() > self.deadline

    def with_variant(self, variant: Variant) -> Workbench:
        """The same bench for another variant."""
        return replace(self, variant=variant)

    def build(self) -> Built:
        """Make every part, in the order a script does: model, transforms, loss, optimizer."""
        seed_everything(self.seed)
        parts = choose(self.theirs, self.known_good, self.variant.reference)
        with recorded_loads() as loads:
            model = parts.build_model(self.num_classes)
        if not isinstance(model, nn.Module):
            raise TypeError(f"build_model returned {type(model).__name__}, not a torch.nn.Module")
        model.known_pretrained = _mostly_loaded(loads.calls)  # type: ignore[assignment]  # read by the reference optimizer
        filled = loads.untouched
        self._change_model(model, filled)
        train, evaluation = self._transforms(parts, model)
        loss = parts.build_loss()
        optimizer = parts.build_optimizer(model)
        self._change_optimizer(model, optimizer, filled)
        return Built(
            parts=parts,
            model=model,
            loss=loss,
            optimizer=optimizer,
            train_transform=train if self.variant.augment else evaluation,
            eval_transform=evaluation,
            loads=tuple(loads.calls),
            filled=filled,
        )

    def _transforms(self, parts: Parts, model: nn.Module) -> tuple[Transform, Transform]:
        """Theirs; or, where it is replaced under a model of theirs, one that suits that model."""
        own = set(defined(self.theirs)) - set(self.variant.reference)
        if "transform" in own or "model" not in own:
            return parts.build_transform(True), parts.build_transform(False)  # noqa: FBT003 - the file's interface
        shape: tuple[int, ...] = (3, 224, 224)
        if "transform" in defined(self.theirs):
            template = self.theirs.build_transform(False)  # noqa: FBT003
            shape = tuple(stack(self.pictures.train[:1], template).shape[1:])
        transform = matched_transform(model, shape=shape, images=self.pictures.train)
        return transform, transform

    def _change_model(self, model: nn.Module, filled: frozenset[int]) -> None:
        if not self.variant.regularise:
            for module in model.modules():
                if isinstance(module, nn.modules.dropout._DropoutNd):  # noqa: SLF001 - their common base
                    module.p = 0.0
        if self.variant.reset:
            for module in model.modules():
                layer = isinstance(module, nn.Linear | nn.modules.conv._ConvNd)  # noqa: SLF001 - likewise
                if layer and id(module.weight) not in filled:
                    module.reset_parameters()  # type: ignore[operator]  # both have it

    def _change_optimizer(self, model: nn.Module, optimizer: Optimizer, filled: frozenset[int]) -> None:
        if self.variant.unfreeze:
            _thaw(model, optimizer, filled)
        for group in optimizer.param_groups:
            group["lr"] *= self.variant.learning_rate
            if not self.variant.regularise and "weight_decay" in group:
                group["weight_decay"] = 0.0


def _thaw(model: nn.Module, optimizer: Optimizer, filled: frozenset[int]) -> None:
    """Let the layers train that no checkpoint filled; everything where those do already."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    idle = [p for p in model.parameters() if not (p.requires_grad and id(p) in held)]
    idle = [p for p in idle if id(p) not in filled] or idle
    for parameter in idle:
        parameter.requires_grad_()
    if missing := [p for p in idle if id(p) not in held]:
        optimizer.add_param_group({"params": missing})


def seed_everything(seed: int) -> None:
    """The three generators that training code draws from."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the person's code may draw from the legacy generator
    torch.manual_seed(seed)


def _mostly_loaded(loads: list[LoadCall]) -> bool:
    return any(call.matched > call.missing for call in loads)


@dataclass
class Loads:
    """Calls of ``load_state_dict``, and each parameter that they filled, with its version after that."""

    calls: list[LoadCall] = field(default_factory=list)
    filled: list[tuple[nn.Parameter, int]] = field(default_factory=list)

    @property
    def untouched(self) -> frozenset[int]:
        """The ``id`` of each parameter that still holds what a checkpoint filled it with."""
        return frozenset(id(parameter) for parameter, version in self.filled if parameter._version == version)  # noqa: SLF001


@contextmanager
def recorded_loads() -> Iterator[Loads]:
    """Notes what each ``load_state_dict`` fills, while the block runs."""
    loads = Loads()
    original: Callable[..., Any] = nn.Module.load_state_dict

    def load_state_dict(self: nn.Module, state_dict: Any, *arguments: Any, **options: Any) -> Any:
        own = self.state_dict()
        names = {k for k, v in state_dict.items() if k in own and own[k].shape == getattr(v, "shape", None)}
        matched = len(names)
        loads.calls.append(LoadCall(matched=matched, missing=len(own) - matched, unexpected=len(state_dict) - matched))
        answer = original(self, state_dict, *arguments, **options)
        loads.filled += [(p, p._version) for name, p in self.named_parameters() if name in names]  # noqa: SLF001
        return answer

    nn.Module.load_state_dict = load_state_dict  # type: ignore[method-assign]
    try:
        yield loads
    finally:
        nn.Module.load_state_dict = original  # type: ignore[method-assign]


def logits_of(output: Any) -> Tensor:
    """The tensor of scores in whatever a model returns: itself, ``.logits``, ``["logits"]`` or the first of a tuple."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, dict):
        return output["logits"] if "logits" in output else logits_of(next(iter(output.values())))
    if hasattr(output, "logits"):
        return output.logits  # type: ignore[no-any-return]
    return logits_of(output[0])


@contextmanager
def evaluating(model: nn.Module, *, training: bool = False) -> Iterator[None]:
    """The model in evaluation mode and without gradients; every module's mode is put back afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
