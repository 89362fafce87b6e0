"""The watch sees what goes wrong in a running loop, keeps nothing, and changes nothing."""

from __future__ import annotations

import gc
import weakref

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
    weight = weakref.ref(next(model.parameters()))

    assert not any(isinstance(v, torch.Tensor) for r in seen.records for v in vars(r).values())
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in model.modules())
    del model
    gc.collect()
    assert weight() is None
    assert seen.records


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 4))


def sound(model, parameters, *, training: bool = True, forward=None):
    """What the watch sees of a sound loop over the parameters that it is given, by cause."""
    optimizer, loss_fn = torch.optim.SGD(parameters, lr=0.05), nn.CrossEntropyLoss()
    model.train(training)
    with watch(model, optimizer, loss_fn, every=3) as seen:
        for _ in range(12):
            optimizer.zero_grad()
            loss_fn((forward or model)(torch.randn(8, 20)), torch.randint(0, 4, (8,))).backward()
            optimizer.step()
    return {o.cause: o for o in seen.observations() if o.certainty is not Certainty.NONE}


def test_a_head_that_is_not_in_the_optimizer_is_seen():
    model = network()

    seen = sound(model, model[:4].parameters())

    assert list(seen) == ["frozen-parameters"]
    assert seen["frozen-parameters"].certainty is Certainty.SURE
    assert "(4)" in seen["frozen-parameters"].message


def test_a_head_that_is_frozen_is_seen():
    model = network()
    model[4].requires_grad_(requires_grad=False)

    assert sound(model, model.parameters())["frozen-parameters"].certainty is Certainty.SURE


def test_a_layer_that_the_optimizer_lacks_between_others_is_a_hint():
    model = network()

    seen = sound(model, [*model[0].parameters(), *model[4].parameters()])

    assert {o.certainty for o in seen.values()} == {Certainty.HINT}
    assert "2.weight, 2.bias" in seen["frozen-parameters"].message


def test_layers_that_no_gradient_reaches_are_a_hint_and_not_a_missing_update():
    model = network()

    def detached(inputs):
        with torch.no_grad():
            features = model[:4](inputs)
        return model[4](features)

    seen = sound(model, model.parameters(), forward=detached)

    assert {(o.cause, o.certainty) for o in seen.values()} == {("frozen-parameters", Certainty.HINT)}
    assert "67%" in seen["frozen-parameters"].message  # four of six tensors


def test_a_backbone_frozen_on_purpose_is_silent_either_way():
    switched, left_out = network(), network()
    switched[:4].requires_grad_(requires_grad=False)

    assert sound(switched, switched.parameters()) == {}
    # Its gradients pile up, for nobody resets them: that is no fault of what trains.
    assert sound(left_out, left_out[4].parameters()) == {}


def test_a_frozen_backbone_in_evaluation_mode_is_silent():
    model = network()
    model.insert(1, nn.BatchNorm1d(64))

    assert sound(model, model[5].parameters(), training=False) == {}
    assert "train-mode" in sound(model, model.parameters(), training=False)


def test_a_frozen_teacher_beside_the_model_is_silent():
    student = nn.ModuleDict({"own": network(), "teacher": network().requires_grad_(requires_grad=False)})

    def forward(inputs):
        return student["own"](inputs) + 0 * student["teacher"](inputs)

    assert sound(student, student["own"].parameters(), forward=forward) == {}


def test_gradients_that_come_about_inside_step_are_seen():
    torch.manual_seed(0)
    model, loss_fn = network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)

    def closure():
        optimizer.zero_grad()
        loss = loss_fn(model(torch.randn(8, 20)), torch.randint(0, 4, (8,)))
        loss.backward()
        return loss

    with watch(model, optimizer, loss_fn, every=3) as seen:
        for _ in range(12):
            optimizer.step(closure)

    assert len(seen.records) == 4
    assert all(r.gradient_norm > 0 and r.loss > 0 for r in seen.records)
    assert {o.certainty for o in seen.observations()} == {Certainty.NONE}


def test_updates_that_mixed_precision_skips_are_silent():
    torch.manual_seed(0)
    model, loss_fn = network(), nn.CrossEntropyLoss()
    optimizer, scaler = torch.optim.SGD(model.parameters(), lr=0.05), torch.amp.GradScaler("cpu", init_scale=2.0**127)
    skipped = 0
    with watch(model, optimizer, loss_fn, every=3) as seen:
        for _ in range(150):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.float16):
                loss = loss_fn(model(torch.randn(8, 20)), torch.randint(0, 4, (8,)))
            before = scaler.get_scale()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            skipped += scaler.get_scale() < before

    assert skipped > 3
    assert len(seen.records) > 3
    assert {o.certainty for o in seen.observations()} == {Certainty.NONE}


@pytest.mark.slow
def test_watching_costs_little():
    # A shared machine is too noisy for the 3 % that benchmarks/watch_cost.py measures; hooks at every step cost more, each
    # time.
    assert any(ratio() < 1.2 for _ in range(3))
