"""Tools that look at training code: the checks that fail on a model, its loss, its optimizer and batches, or on its text."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from zoo.data import read

Issues = dict[str, float]
_BATCHES, _BATCH = 4, 32
_STEPS, _SECONDS = 40, 60.0  # that torchmortem looks on at most


@dataclass(frozen=True, kw_only=True)
class Handed:
    """What an algorithm file makes.

    Attributes:
        file: The file. ``module``: the same, imported.
        batches: Training pictures as its transform makes them, and their labels.
        frozen: Names of parameters that do not learn on purpose.
    """

    file: Path
    module: ModuleType = field(repr=False)
    model: Any = field(repr=False)
    loss: Any
    optimizer: Any = field(repr=False)
    batches: list[tuple[Any, Any]] = field(repr=False)
    frozen: list[str] = field(repr=False)


def handed(path: Path, folder: Path) -> Handed:
    """Import the file and make its parts."""
    import torch
    from PIL import Image

    spec = importlib.util.spec_from_file_location("handed_over", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    dataset = read(folder)
    rows = np.random.default_rng(0).permutation(dataset.indices("train"))[: _BATCHES * _BATCH]
    transform = module.build_transform(train=True)
    inputs = torch.stack([transform(Image.open(dataset.file(dataset.samples[i])).convert("RGB")) for i in rows])
    targets = torch.from_numpy(dataset.labels[rows])
    torch.manual_seed(0)
    model = module.build_model(len(dataset.classes))
    return Handed(
        file=path,
        module=module,
        model=model,
        loss=module.build_loss() if hasattr(module, "build_loss") else torch.nn.CrossEntropyLoss(),
        optimizer=module.build_optimizer(model),
        batches=list(zip(inputs.split(_BATCH), targets.split(_BATCH), strict=True)),
        frozen=[name for name, p in model.named_parameters() if not p.requires_grad],
    )


def torchtest2(given: Handed) -> Issues:
    """torchtest2's check of one batch, the loss and the optimizer included."""
    import torchtest2 as tool

    inputs, targets = given.batches[0]
    report = tool.check_model(
        given.model, inputs, targets, loss_fn=given.loss, optimizer=given.optimizer, frozen=given.frozen
    )
    return {result.name: 1.0 for result in report.failures}


def torch_audit(given: Handed) -> Issues:
    """torch-audit's default rules on the model, the optimizer and a batch; errors and warnings."""
    from torch_audit.api import audit

    result = audit(given.model, batch=given.batches[0], optimizer=given.optimizer, suppress_internal_errors=True)
    return {finding.rule_id: 1.0 for finding in result.findings if str(finding.severity.value) != "INFO"}


def torchmortem(given: Handed) -> Issues:
    """torchmortem looks on while the file's own step trains on four batches in turn; criticals and warnings."""
    from torchmortem import Autopsy

    end = time.monotonic() + _SECONDS
    given.model.train()
    with Autopsy(given.model, optimizer=given.optimizer, sampling="thorough") as autopsy:
        for step in range(_STEPS):
            inputs, targets = given.batches[step % len(given.batches)]
            loss = _step(given, inputs, targets)
            autopsy.step(loss=float(loss))
            if time.monotonic() > end:
                break
    report = autopsy.get_report()
    assert report is not None
    return {finding.title: 1.0 for finding in report.findings if finding.severity.name != "INFO"}


def mldoct(given: Handed) -> Issues:
    """mldoct's linter on the file's text; all but remarks."""
    from mldoctor.linter import lint_script

    findings, _ = lint_script(str(given.file))
    return {found["type"]: 1.0 for found in findings if found["severity"] != "INFO"}


def _step(given: Handed, inputs: Any, targets: Any) -> Any:
    """One step by the file, or by the usual recipe where it has none of its own."""
    if hasattr(given.module, "train_step"):
        return given.module.train_step(given.model, inputs, targets, given.loss, given.optimizer)
    given.optimizer.zero_grad()
    loss = given.loss(given.model(inputs), targets)
    loss.backward()
    given.optimizer.step()
    return loss.detach()


TOOLS: dict[str, tuple[str, Callable[[Handed], Issues]]] = {
    "torchtest2": ("torchtest2", torchtest2),
    "torch-audit": ("torch-audit", torch_audit),
    "torchmortem": ("torchmortem", torchmortem),
    "mldoct": ("mldoct", mldoct),
}
