"""The watch sees what goes wrong in a running loop, keeps nothing, and changes nothing."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import nn

from benchmarks.watch_cost import ratio
from diagnose.probe import Certainty
from diagnose.watch import watch


def loop(steps: int, *, watched: bool, zero: bool = True, training: bool = True, every: int = 5):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    loss_fn = nn.CrossEntropyLoss()
    seen = watch(model, optimizer, loss_fn, every=every)
    if watched:
        seen.__enter__()
    model.train(training)
    for _ in range(steps):
        x, y = torch.randn(16, 20), torch.randint(0, 4, (16,))
        if zero:
            optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        optimizer.step()
    if watched:
        seen.__exit__(None, None, None)
    return model, seen


def test_accumulation_and_a_reset_between_forward_and_backward_are_silent():
    torch.manual_seed(0)
    model, loss_fn = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 4)), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with watch(model, optimizer, loss_fn, every=2) as seen:
        for step in range(24):
            loss = loss_fn(model(torch.randn(8, 20)), torch.randint(0, 4, (8,)))
            if step % 3 == 0:
                optimizer.zero_grad()
            (loss / 3).backward()
            if step % 3 == 2:
                optimizer.step()

    assert sure(seen) == set()
    assert not any(r.stale for r in seen.records)


def sure(seen) -> set[str]:
    return {o.cause for o in seen.observations() if o.certainty is Certainty.SURE}


def test_a_sound_loop_is_silent_and_its_losses_are_noted():
    _, seen = loop(40, watched=True)

    assert sure(seen) == set()
    assert [r.step for r in seen.records] == [0, 5, 10, 15, 20, 25, 30, 35]
    assert all(0 < r.loss < 10 for r in seen.records)


def test_a_gradient_that_is_never_reset_is_seen():
    _, seen = loop(40, watched=True, zero=False)

    assert "missing-zero-grad" in sure(seen)


def test_a_loop_in_evaluation_mode_is_seen():
    _, seen = loop(40, watched=True, training=False)

    assert "train-mode" in sure(seen)


def test_the_training_is_the_same_to_the_last_bit():
    plain, watched = (loop(60, watched=w)[0].state_dict() for w in (False, True))

    assert all(torch.equal(plain[name], watched[name]) for name in plain)


def test_no_tensor_and_no_hook_is_left():
    model, seen = loop(10, watched=True)
    gc.collect()

    assert not any(isinstance(v, torch.Tensor) for r in seen.records for v in vars(r).values())
    assert seen._loss is None
    assert not model._forward_pre_hooks
    assert not seen._optimizer._optimizer_step_pre_hooks


@pytest.mark.slow
def test_watching_costs_little():
    # A shared machine is too noisy for the 3 % that benchmarks/watch_cost.py measures; hooks at every step cost more.
    assert ratio() < 1.2
