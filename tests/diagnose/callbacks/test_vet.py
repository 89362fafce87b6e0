"""What the three callbacks share, and what they say where their library is not installed."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
import torch
from torch import nn

from diagnose.callbacks.vet import Vet
from tests.diagnose.callbacks.worlds import hookless, network
from zoo.errors import DependencyError


@pytest.mark.parametrize(
    ("module", "packages"),
    [
        ("huggingface", ("transformers",)),
        ("lightning", ("lightning", "lightning.pytorch", "pytorch_lightning")),
        ("fastai", ("fastai", "fastai.callback.core")),
    ],
)
def test_an_absent_library_is_named_with_the_command_that_installs_it(monkeypatch, module, packages):
    for package in packages:
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"diagnose.callbacks.{module}", raising=False)

    with pytest.raises(DependencyError, match=rf"pip install 'zoovet\[{module}\]'"):
        importlib.import_module(f"diagnose.callbacks.{module}")


def test_diagnose_and_the_callbacks_room_bring_none_of_the_libraries():
    code = (
        "import sys, diagnose, diagnose.callbacks, diagnose.watch, diagnose.callbacks.vet;"
        "print([m for m in ('transformers', 'lightning', 'pytorch_lightning', 'fastai') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_training_with_two_optimizers_is_left_alone_and_the_reason_is_said():
    said: list[str] = []
    vet, model = Vet(show=said.append), network()
    optimizers = [torch.optim.SGD(part.parameters(), lr=0.1) for part in model]

    vet.watch(model, optimizers, updates=100)
    vet.end(shown=True)

    assert said == ["zoovet looked at nothing: it needs one optimizer of torch.optim (found: SGD, SGD)."]
    assert hookless(model)
    assert vet.findings == vet.records == ()


@pytest.mark.parametrize(("updates", "every"), [(10, 1), (200, 10), (10_000, 50), (float("inf"), 50)])
def test_a_short_training_is_sampled_more_often(updates, every):
    vet, model = Vet(), nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    vet.watch(model, [optimizer], updates=updates)
    for _ in range(101):
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    vet.leave()

    assert [r.step for r in vet.records] == list(range(0, 101, every))


def test_a_second_training_ends_the_first():
    vet, first, second = Vet(), network(), network()
    vet.watch(first, [torch.optim.SGD(first.parameters(), lr=0.1)], updates=100)

    vet.watch(second, [torch.optim.SGD(second.parameters(), lr=0.1)], updates=100)

    assert hookless(first)
    assert not hookless(second)
