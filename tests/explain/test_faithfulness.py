from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from explain import Badge, Deletion, class_weights, faithfulness, relevance_gain
from explain.attribution import Attribution
from explain.faithfulness import Meter
from explain.null import Null, badges, centre_gaussian, matched_null
from explain.sanity import Gate, rank_correlation, reinitialised, sanity_gate
from tests.explain.conftest import planted, tiny

HOW = Deletion(patches=8, steps=8)


class Additive(nn.Module):
    """A score that is the sum of what 8 x 8 patches are worth: the true map is known."""

    def __init__(self) -> None:
        super().__init__()
        worth = torch.randn(8, 8, generator=torch.Generator().manual_seed(3))
        self.worth = nn.Parameter(worth)

    def forward(self, inputs: Tensor) -> Tensor:
        score = (nn.functional.avg_pool2d(inputs.mean(1), 8) * self.worth).sum((1, 2))
        return torch.stack([score, -score], 1)


def pictures() -> Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1)) + 0.5


def true_map(model: Additive, inputs: Tensor) -> Tensor:
    """What each patch adds over the mean colour that replaces it."""
    parts = nn.functional.avg_pool2d((inputs - inputs.mean((2, 3), keepdim=True)).mean(1), 8) * model.worth
    return parts.detach().repeat_interleave(8, 1).repeat_interleave(8, 2)


def test_on_an_additive_model_no_map_beats_the_true_one() -> None:
    model, inputs = Additive(), pictures()
    weights = class_weights(torch.zeros(3, dtype=torch.long), 2)
    best = relevance_gain(model, inputs, weights, true_map(model, inputs), HOW).value
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        other = relevance_gain(model, inputs, weights, torch.randn(3, 64, 64, generator=generator), HOW).value
        assert (other < best).all()


def test_on_an_additive_model_the_gain_is_the_one_worked_out_by_hand() -> None:
    model, inputs = Additive(), pictures()
    weights = class_weights(torch.zeros(3, dtype=torch.long), 2)
    gain = relevance_gain(model, inputs, weights, true_map(model, inputs), HOW)
    parts = np.sort(true_map(model, inputs)[:, ::8, ::8].flatten(1).double().numpy(), axis=1)
    area = np.zeros(3)
    for step in range(1, 8):
        count = 64 * step // 8
        area += (-parts[:, :count].sum(1)) - (-parts[:, -count:].sum(1))
    np.testing.assert_allclose(gain.value, area / 8, rtol=1e-4, atol=1e-5)


def test_the_negated_map_has_the_opposite_gain() -> None:
    model, inputs = Additive(), pictures()
    weights, maps = class_weights(torch.zeros(3, dtype=torch.long), 2), true_map(model, inputs)
    plus, minus = (relevance_gain(model, inputs, weights, m, HOW).value for m in (maps, -maps))
    np.testing.assert_allclose(plus, -minus, rtol=1e-5)


@pytest.mark.parametrize("steps", [2, 5, 8])
def test_the_share_that_null_maps_are_compared_with_is_that_of_a_run_in_half_as_many_passes(steps: int) -> None:
    model, inputs = Additive(), pictures()
    weights, maps = class_weights(torch.zeros(3, dtype=torch.long), 2), torch.rand(3, 64, 64)
    how = Deletion(patches=8, steps=steps)
    half = relevance_gain(model, inputs, weights, maps, how).half
    few = relevance_gain(model, inputs, weights, maps, how.halved)
    np.testing.assert_allclose(half, few.share, rtol=1e-6)
    np.testing.assert_allclose(half, few.half, rtol=1e-6)
    assert (half != 0).all()


def test_half_the_passes_give_the_same_area_by_the_midpoint_rule() -> None:
    model, inputs = Additive(), pictures()
    weights, maps = class_weights(torch.zeros(3, dtype=torch.long), 2), true_map(model, inputs)
    how = Deletion(patches=8, steps=8)
    assert [how.cuts, how.halved.cuts] == [(1, 2, 3, 4, 5, 6, 7), (1, 3, 5, 7)]
    exact = relevance_gain(model, inputs, weights, maps, Deletion(patches=8, steps=64)).value
    few = relevance_gain(model, inputs, weights, maps, how.halved).value
    np.testing.assert_allclose(few, exact, rtol=0.05)


def test_a_constant_map_gains_nothing_and_is_blank() -> None:
    model, inputs = Additive(), pictures()
    weights = class_weights(torch.zeros(3, dtype=torch.long), 2)
    gain = relevance_gain(model, inputs, weights, torch.full((3, 64, 64), 0.7), HOW)
    assert gain.value.tolist() == [0, 0, 0]
    assert badges(gain, Null(shares=np.full(40, -0.5))) == [Badge.BLANK] * 3


def test_a_picture_of_one_colour_is_blank_whatever_its_map_for_there_is_nothing_to_delete() -> None:
    model, inputs = Additive(), pictures()
    inputs[1] = 0.3
    gain = relevance_gain(
        model, inputs, class_weights(torch.zeros(3, dtype=torch.long), 2), true_map(model, pictures()), HOW
    )
    assert gain.blank.tolist() == [False, True, False]
    assert gain.value[1] == 0


def test_a_map_costs_twice_the_steps_in_passes() -> None:
    seen = 0

    class Counting(Additive):
        def forward(self, inputs: Tensor) -> Tensor:
            nonlocal seen
            seen += len(inputs)
            return super().forward(inputs)

    model, inputs = Counting(), pictures()
    relevance_gain(model, inputs, class_weights(torch.zeros(3, dtype=torch.long), 2), torch.rand(3, 64, 64), HOW)
    assert seen == 3 * 2 * HOW.steps


def edges(_model: nn.Module, inputs: Tensor, _weights: Tensor) -> Attribution:
    grey = inputs.mean(1)
    maps = torch.zeros_like(grey)
    maps[:, 1:, 1:] = (grey[:, 1:, 1:] - grey[:, :-1, 1:]).abs() + (grey[:, 1:, 1:] - grey[:, 1:, :-1]).abs()
    return Attribution(maps=maps, method="edges")


def gaussian(_model: nn.Module, inputs: Tensor, _weights: Tensor) -> Attribution:
    return Attribution(maps=centre_gaussian(*inputs.shape[2:]).expand(len(inputs), -1, -1), method="gaussian")


def asked(model: nn.Module, inputs: Tensor, weights: Tensor, make: object) -> Gate:
    """The gate's answers for a method."""
    first = make(model, inputs, weights)
    null = matched_null(Meter(model, inputs, weights, passes=1), first.maps, HOW)
    shares = relevance_gain(model, inputs, weights, first.maps, HOW.halved).share
    return sanity_gate(model, inputs, weights, make, first=first, shares=shares, null=null)


@pytest.mark.parametrize("fake", [edges, gaussian])
def test_an_edge_detector_and_a_gaussian_fail_the_gate(fake: object, patch_net: nn.Module) -> None:
    inputs = torch.cat([planted(at=(8 * k, 40 - 8 * k)) for k in range(6)])
    weights = class_weights(torch.zeros(6, dtype=torch.long), 2)
    gate = asked(patch_net, inputs, weights, fake)
    assert not gate.passed
    failed = {a.question for a in gate.answers if not a.passed}
    assert {"changes-with-the-model", "changes-with-the-class"} <= failed


def test_a_good_method_passes_the_gate(patch_net: nn.Module) -> None:
    from explain import attribute

    inputs = torch.cat([planted(at=(8 * k, 40 - 8 * k)) for k in range(6)])
    weights = class_weights(torch.zeros(6, dtype=torch.long), 2)

    def make(model: nn.Module, some: Tensor, targets: Tensor) -> Attribution:
        return attribute(model, some, targets, method="hirescam")

    gate = asked(patch_net, inputs, weights, make)
    questions = {a.question: a.passed for a in gate.answers}
    assert questions["above-null"]
    assert questions["changes-with-the-class"]


def test_reinitialising_changes_the_copy_and_not_the_model() -> None:
    model, inputs = tiny("test_resnet", num_classes=5), torch.randn(2, 3, 96, 96)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    copied = reinitialised(model, inputs)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    changed = {k for k, v in copied.state_dict().items() if not torch.equal(v, before[k])}
    assert "fc.weight" in changed
    assert any(k.startswith("layer4") for k in changed)
    assert not any(k.startswith(("conv1", "layer1")) for k in changed)


def test_rank_correlation_is_spearmans() -> None:
    from scipy.stats import spearmanr

    first = torch.rand(2, 20, 20, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    second = first + torch.rand(2, 20, 20, generator=torch.Generator().manual_seed(1))
    expected = [spearmanr(a.flatten(), b.flatten()).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(rank_correlation(first, second), expected, atol=1e-9)


def test_merging_batch_normalisations_changes_the_gain_by_rounding_only(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, norm = pictures(), nn.BatchNorm2d(8)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.add_(0.1)
    norm.running_var.mul_(2)
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 8, stride=8), norm, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    model = nn.Sequential(*layers).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    weights, maps = class_weights(torch.zeros(3, dtype=torch.long), 2), torch.rand(3, 64, 64)
    found = []
    for worth in (1, 10**9):
        monkeypatch.setattr(faithfulness, "_WORTH_FOLDING", worth)
        found.append(relevance_gain(model, inputs, weights, maps, HOW))
    np.testing.assert_allclose(found[0].value, found[1].value, atol=1e-3 * float(found[1].span.max()))
    assert float(np.abs(found[1].share).max()) > 0.01
    assert all(bool((model.state_dict()[name] == tensor).all()) for name, tensor in before.items())
