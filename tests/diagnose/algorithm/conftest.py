"""Digits as pictures, and algorithm files from text, audited in this process."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from diagnose.algorithm_context import AlgorithmContext
from diagnose.sandbox.feed_audit import audit_loader, audit_schedule, audit_transforms
from diagnose.sandbox.loss_audit import audit_loss
from diagnose.sandbox.measurements import Variant
from diagnose.sandbox.model_audit import audit_model
from diagnose.sandbox.parts import defined, load, reference
from diagnose.sandbox.pictures import Pictures
from diagnose.sandbox.step_audit import audit_step
from diagnose.sandbox.workbench import Workbench
from diagnose.sandbox.worker import _load


@pytest.fixture(scope="session")
def pictures() -> Pictures:
    """scikit-learn's digits, those to learn from ordered by class as an image folder is."""
    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.images))[:260]
    order = np.concatenate([order[np.argsort(bunch.target[order[:160]], kind="stable")], order[160:]])
    images = [Image.fromarray(np.uint8(bunch.images[i] * 15.9)).resize((32, 32)).convert("RGB") for i in order]
    labels = [int(bunch.target[i]) for i in order]
    return Pictures(
        train=tuple(images[:160]),
        train_labels=tuple(labels[:160]),
        validation=tuple(images[160:]),
        validation_labels=tuple(labels[160:]),
        classes=tuple("0123456789"),
    )


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def bench_of(tmp_path: Path, pictures: Pictures, monkeypatch) -> Callable[..., Workbench]:
    """A workbench for an algorithm file with the given text."""

    def make(text: str, variant: Variant | None = None) -> Workbench:
        path = tmp_path / f"algorithm_{uuid.uuid4().hex}.py"
        path.write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        return Workbench(
            theirs=load(path), known_good=reference("small_cnn"), pictures=pictures, variant=variant or Variant()
        )

    return make


@pytest.fixture
def audited(bench_of) -> Callable[[str], AlgorithmContext]:
    """Everything that is measured without a training."""

    def audit(text: str) -> AlgorithmContext:
        bench = bench_of(text)
        return AlgorithmContext(
            num_classes=bench.num_classes,
            loaded=_load(bench),
            model=audit_model(bench),
            loss=audit_loss(bench),
            step=audit_step(bench),
            transform=audit_transforms(bench),
            loader=audit_loader(bench) if "loader" in defined(bench.theirs) else None,
            schedule=audit_schedule(bench),
        )

    return audit
