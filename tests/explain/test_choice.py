from __future__ import annotations

import dataclasses
import itertools
import json

import pytest
import torch
from torch import nn

from cli.health import lines
from explain import Deletion, class_weights, find_structure
from explain.attribution import METHODS, Attribution, Task
from explain.choice import Choice, choose
from explain.memory import describe, remembered
from explain.methods.hirescam import HiResCAM
from explain.race import Calibration
from tests.explain.conftest import planted
from zoo import cache
from zoo.doctor import examine


def calibration(model: nn.Module, count: int = 10, *, steps: int = 4) -> Calibration:
    places = [(8 * (k % 6), 8 * (k // 2 % 6)) for k in range(count)]
    inputs = torch.cat([planted(at=at) for at in places])
    weights = class_weights(torch.zeros(count, dtype=torch.long), 2)
    how = Deletion(patches=8, steps=steps)
    return Calibration(inputs=inputs, weights=weights, structure=find_structure(model, inputs), how=how)


def same(first: Choice, second: Choice) -> bool:
    plain = [json.dumps(dataclasses.asdict(c), default=lambda v: v.tolist()) for c in (first, second)]
    return plain[0] == plain[1]


def test_the_best_candidate_is_chosen_and_the_race_ends_when_the_others_are_clearly_behind(
    patch_net: nn.Module,
) -> None:
    # The patch that the net counts is found exactly by a CAM on its grid; windows of a fifth of the side blur it, which
    # shows where 4, 12, 20 ... of 64 patches are deleted.
    found = choose(patch_net, calibration(patch_net, steps=16), candidates=("occlusion", "hirescam"))
    trials = {t.method: t for t in found.trials}
    assert found.method == "hirescam"
    assert trials["hirescam"].gain > trials["occlusion"].gain
    assert [trials["hirescam"].images, trials["occlusion"].images] == [8, 8]
    assert "behind" in trials["occlusion"].note


@pytest.mark.parametrize(("sees", "tried"), [(True, False), (False, True)])
def test_occlusion_is_tried_only_where_no_other_method_clearly_knows_anything(
    patch_net: nn.Module, monkeypatch: pytest.MonkeyPatch, *, sees: bool, tried: bool
) -> None:
    class Blind(HiResCAM):
        """The same map for every image."""

        def attribute(self, task: Task) -> Attribution:
            made = super().attribute(task)
            ramp = torch.arange(64.0).view(1, 8, 8)
            return dataclasses.replace(made, maps=made.maps if sees else ramp.expand(len(made.maps), -1, -1))

    for name in ("hirescam", "marginal-cam", "integrated-gradients"):
        METHODS[name]  # entered by its own module first
        monkeypatch.setitem(METHODS._entries, name, Blind())
    places = [(8 * k, 48 - 8 * k) for k in range(6)]
    on = calibration(patch_net)
    on = dataclasses.replace(on, inputs=torch.cat([planted(at=at) for at in places]), weights=on.weights[:6])
    found = choose(patch_net, on)
    assert ("occlusion" in {t.method for t in found.trials}) is tried
    assert found.method == ("occlusion" if tried else "hirescam")


def test_a_candidates_cost_is_counted_in_passes_whatever_the_clock_says(patch_net: nn.Module) -> None:
    found = choose(patch_net, calibration(patch_net), candidates=("hirescam", "occlusion"), most_passes=10.0)
    passes = {t.method: t.passes for t in found.trials}
    # A CAM: one pass, with a graph behind its last layer only. Occlusion: 5 x 5 windows, four at a time, and the whole
    # picture; broken off at the first four that are too many.
    assert passes == {"hirescam": 1.0, "occlusion": 13.0}
    assert choose(patch_net, calibration(patch_net), candidates=("occlusion",)).trials[0].passes == 26.0
    assert next(t.note for t in found.trials if t.method == "occlusion") == "dearer than the cost cap"
    assert not patch_net._forward_pre_hooks


def test_a_method_that_gets_dear_on_a_later_image_is_left_there(
    patch_net: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dearer(HiResCAM):
        """A CAM that runs the model many times where there is more than one image."""

        def attribute(self, task: Task) -> Attribution:
            if len(task.inputs) > 1:
                for _ in range(20):
                    task.model(task.inputs)
            return super().attribute(task)

    monkeypatch.setitem(METHODS._entries, "hirescam", Dearer())
    found = choose(patch_net, calibration(patch_net), candidates=("hirescam", "occlusion"), most_passes=26.0)
    assert found.method == "occlusion"
    assert found.trials[0].note == "dearer than the cost cap"


def test_equal_candidates_are_measured_on_all_images_and_the_cheaper_one_wins(patch_net: nn.Module) -> None:
    # With a mean and a linear head the two are proportional.
    found = choose(patch_net, calibration(patch_net, 20), candidates=("hirescam", "gradcam"))
    assert found.method == "hirescam"
    assert [t.images for t in found.trials] == [20, 20]
    assert [found.images, found.gate.sample_size, len(found.null.shares)] == [16, 8, 39]


def test_progress_only_rises_and_ends_at_its_total(patch_net: nn.Module) -> None:
    told: list[tuple[int, int]] = []
    choose(
        patch_net,
        calibration(patch_net),
        candidates=("hirescam", "gradcam"),
        progress=lambda _stage, done, total: told.append((done, total)),
    )
    assert all(before[0] <= after[0] <= after[1] for before, after in itertools.pairwise(told))
    assert told[-1][0] == told[-1][1]


class Asked:
    """Chooses, and counts how often."""

    def __init__(self, model: nn.Module, on: Calibration) -> None:
        self.model, self.on, self.times = model, on, 0

    def __call__(self) -> Choice:
        self.times += 1
        return choose(self.model, self.on, candidates=("hirescam", "occlusion"))


def test_a_choice_is_measured_once_and_read_back_unchanged(patch_net: nn.Module) -> None:
    on = calibration(patch_net)
    asked = Asked(patch_net, on)
    first = remembered(patch_net, on, "net", asked)
    second = remembered(patch_net, on, "net", asked)
    assert asked.times == 1
    assert same(first, second)
    assert [(name, choice.method) for name, choice in describe()] == [("net", "hirescam")]
    said = lines(examine(offline=True), describe())
    assert "  net: hirescam, chosen on 10 images" in said


def test_other_weights_other_images_and_another_target_are_measured_anew(patch_net: nn.Module) -> None:
    on = calibration(patch_net)
    asked = Asked(patch_net, on)
    remembered(patch_net, on, "net", asked)
    remembered(patch_net, dataclasses.replace(on, inputs=on.inputs.flip(3)), "net", asked)
    remembered(patch_net, dataclasses.replace(on, weights=on.weights.flip(1)), "net", asked)
    remembered(patch_net, dataclasses.replace(on, seed=1), "net", asked)
    with torch.no_grad():
        next(patch_net.parameters()).mul_(2)
    remembered(patch_net, on, "net", asked)
    assert asked.times == 5
    assert len(describe()) == 5


def test_a_damaged_memory_is_no_obstacle(patch_net: nn.Module) -> None:
    on = calibration(patch_net)
    asked = Asked(patch_net, on)
    remembered(patch_net, on, "net", asked)
    (cache.root() / "explanations.json").write_text('{"x": {"model": "net"}}', "utf-8")
    assert describe() == ()
    remembered(patch_net, on, "net", asked)
    assert asked.times == 2
