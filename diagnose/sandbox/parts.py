"""An algorithm as parts: loaded from a person's file, completed from the known-good recipe."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset

from diagnose.sandbox.part_names import PARTS

Transform = Callable[[Image.Image], Tensor]
LossFunction = Callable[[Tensor, Tensor], Tensor]
Step = Callable[[nn.Module, Tensor, Tensor, LossFunction, Optimizer], Any]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything that a training needs.

    Attributes:
        build_scheduler: ``None`` where the learning rate stays.
        evaluate: ``None`` where we score.
        scheduler_unit: "step" or "epoch": how often the scheduler is stepped.
    """

    build_model: Callable[[int], nn.Module]
    build_transform: Callable[[bool], Transform]
    build_loss: Callable[[], LossFunction]
    build_optimizer: Callable[[nn.Module], Optimizer]
    build_scheduler: Callable[[Optimizer, int], Any] | None
    train_step: Step
    evaluate: Callable[[nn.Module, Iterable[Any]], float] | None
    build_loader: Callable[[Dataset[Any], bool], Iterable[Any]] | None
    epochs: int
    batch_size: int
    scheduler_unit: str


def load(path: Path) -> ModuleType:
    """Execute a person's file as a module named after it. Whatever it raises is raised."""
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def defined(module: ModuleType) -> tuple[str, ...]:
    """The parts that a file defines."""
    return tuple(part for part, name in PARTS.items() if hasattr(module, name))


def reference(name: str) -> ModuleType:
    """A known-good recipe by its name."""
    return importlib.import_module(f"diagnose.references.{name}")


def choose(theirs: ModuleType, known_good: ModuleType, replaced: Iterable[str]) -> Parts:
    """Their parts, but for those in ``replaced`` and those they do not define, which are the known-good recipe's."""
    kept = set(defined(theirs)) - set(replaced)

    def pick(part: str, default: Any = None) -> Any:
        source = theirs if part in kept else known_good
        return getattr(source, PARTS[part], default)

    # A file that trains without a schedule chose so; only a swap puts one in.
    scheduler = pick("scheduler") if "scheduler" in kept or "scheduler" in replaced else None
    return Parts(
        build_model=pick("model"),
        build_transform=pick("transform"),
        build_loss=pick("loss") if "loss" in kept else (lambda: reference_loss),
        build_optimizer=pick("optimizer") if "optimizer" in kept else reference_optimizer,
        build_scheduler=scheduler,
        train_step=pick("train_step", plain_step) if "train_step" in kept else plain_step,
        evaluate=pick("evaluate") if "evaluate" in kept else None,
        build_loader=pick("loader") if "loader" in kept else None,
        epochs=int(pick("epochs", 10)),
        batch_size=int(pick("batch_size", 32)),
        scheduler_unit=getattr(theirs, "SCHEDULER_UNIT", "step") if "scheduler" in kept else "step",
    )


def plain_step(
    model: nn.Module, inputs: Tensor, targets: Tensor, loss_fn: LossFunction, optimizer: Optimizer
) -> Tensor:
    """The step that every tutorial has."""
    model.train()
    optimizer.zero_grad()
    loss = loss_fn(model(inputs), targets)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.detach()


def reference_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy, whatever the rows of the outputs are: logits, log-probabilities or probabilities."""
    if is_distribution(outputs):
        outputs = outputs.clamp_min(1e-7).log()
    return nn.functional.cross_entropy(outputs.float(), targets)


def is_distribution(outputs: Tensor) -> bool:
    """Whether every row is non-negative and sums to one."""
    rows = outputs.detach().float()
    return bool((rows >= 0).all() and ((rows.sum(1) - 1).abs() < 1e-2).all())


def reference_optimizer(model: nn.Module) -> Optimizer:
    """AdamW: 1e-3 for weights that are new, a tenth of it for a pretrained network's body."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    pretrained = bool(getattr(model, "known_pretrained", False))
    if not pretrained:
        return torch.optim.AdamW(trainable, lr=2e-3, weight_decay=1e-2)
    head = [p for n, p in model.named_parameters() if p.requires_grad and n.startswith(head_name(model))]
    ids = {id(p) for p in head}
    body = [p for p in trainable if id(p) not in ids]
    groups = [{"params": head, "lr": 3e-3}, {"params": body, "lr": 2e-4}]
    return torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=1e-2)


def head_name(model: nn.Module) -> str:
    """Name of the last module that holds a weight matrix."""
    names = [n for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.Conv1d | nn.Bilinear)]
    return names[-1] if names else ""


def batches(data: Dataset[Any], parts: Parts, *, train: bool) -> Iterable[Any]:
    """Their loader where they have one; else a plain one, shuffled for training."""
    if parts.build_loader is not None:
        return parts.build_loader(data, train)
    last = len(data) % parts.batch_size == 1  # type: ignore[arg-type]  # batch-norm cannot train on one picture
    return DataLoader(data, batch_size=parts.batch_size, shuffle=train, drop_last=train and last)


def batch_count(loader: Iterable[Any], items: int, batch_size: int) -> int:
    """Batches in an epoch: as the loader says, else as many as the items fill."""
    if isinstance(loader, Sized):
        return len(loader)
    return -(-items // batch_size)
