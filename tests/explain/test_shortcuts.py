from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from explain import Level, attribute, class_weights
from explain.claims import Evidence, Shortcut, ShortcutSettings
from explain.clusters import map_clusters
from explain.interventions import paired_effect
from explain.regions import backgrounds, erase, paste, random_regions, recolour, standard_regions
from explain.shortcuts import find_shortcuts


class MarkNet(nn.Module):
    """Class 1 where the top left corner is bright; the object's brightness in the middle adds a little to class 0."""

    def __init__(self, *, uses_mark: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 8, stride=8, bias=False)
        self.weight = nn.Parameter(torch.zeros(8, 8, 2))
        with torch.no_grad():
            self.conv.weight.fill_(1 / 192)
            if uses_mark:
                self.weight[0, 0, 1] = 6.0
            self.weight[3:5, 3:5, 0] = 0.5

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.einsum("nchw,hwc->nc", self.conv(inputs).relu(), self.weight)


def marked(chance: tuple[float, float], seed: int = 0) -> tuple[Tensor, np.ndarray]:
    """Forty pictures of two classes; each class bears the corner mark with its chance."""
    rng = np.random.default_rng(seed)
    inputs = 0.1 * torch.rand(40, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
    labels = np.arange(40) % 2
    inputs[:, :, 24:40, 24:40] += torch.tensor(labels == 0).float()[:, None, None, None]
    with_mark = rng.random(40) < np.array(chance)[labels]
    inputs[torch.from_numpy(with_mark), :, :8, :8] = 1.0
    return inputs, labels


def search(model: nn.Module, inputs: Tensor, labels: np.ndarray, **settings: int) -> tuple[Shortcut, ...]:
    maps = attribute(model, inputs, class_weights(torch.from_numpy(labels), 2), method="hirescam").maps
    evidence = Evidence(inputs=inputs, labels=labels, maps=maps)
    return find_shortcuts(model, evidence, settings=ShortcutSettings(**settings))


def test_a_corner_mark_that_decides_a_class_is_confirmed_with_its_intervals() -> None:
    found = search(MarkNet(uses_mark=True).eval(), *marked((0.0, 1.0)))
    first = found[0]
    assert (first.level, first.label, first.region) == (Level.CONFIRMED, 1, "top left corner")
    assert first.erased is not None
    assert first.pasted is not None
    assert first.erased.interval[0] > 0
    assert first.pasted.interval[0] > 0
    assert first.pasted.interval[0] <= first.pasted.difference <= first.pasted.interval[1]
    assert len(first.examples) == 6


def test_the_same_mark_uncorrelated_with_the_class_is_not_confirmed() -> None:
    for seed in range(5):
        for uses_mark in (True, False):
            found = search(MarkNet(uses_mark=uses_mark).eval(), *marked((0.5, 0.5), seed))
            assert not [s for s in found if s.level is Level.CONFIRMED]


def test_a_mark_that_the_model_does_not_use_is_not_confirmed_however_correlated() -> None:
    found = search(MarkNet(uses_mark=False).eval(), *marked((0.0, 1.0)))
    assert not [s for s in found if s.level is Level.CONFIRMED]


def test_with_too_few_images_a_suspect_stays_a_suspect() -> None:
    found = search(MarkNet(uses_mark=True).eval(), *marked((0.0, 1.0)), fewest_images=30)
    assert found
    assert {s.level for s in found} == {Level.SUSPECT}
    assert all(s.erased is None and s.pasted is None for s in found)


def test_the_model_is_left_as_it_came() -> None:
    model = MarkNet(uses_mark=True).train()
    search(model, *marked((0.0, 1.0)))
    assert model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_the_interval_is_students() -> None:
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(0)
    change, control = torch.from_numpy(rng.normal(0.3, 0.2, 20)), torch.from_numpy(rng.normal(0.1, 0.2, 20))
    expected = ttest_rel(change, control).confidence_interval(0.95)
    assert paired_effect(change, control, 1).interval == pytest.approx((expected.low, expected.high))
    wider = paired_effect(change, control, 10).interval
    assert wider[0] < expected.low
    assert wider[1] > expected.high


def test_moved_regions_keep_their_area() -> None:
    for mask in standard_regions(48, 64).values():
        moved = random_regions(mask, 5, torch.Generator().manual_seed(0))
        assert moved.sum((1, 2)).tolist() == [int(mask.sum())] * 5
        assert not any(torch.equal(m, mask) for m in moved)


def test_erasing_pasting_and_recolouring_change_the_place_and_nothing_else() -> None:
    inputs, donors = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    mask = standard_regions(32, 32)["top right corner"]
    erased, pasted = erase(inputs, mask), paste(inputs, donors, mask)
    assert torch.equal(erased[:, :, ~mask], inputs[:, :, ~mask])
    torch.testing.assert_close(erased[0, :, mask], inputs[0].mean((1, 2))[:, None].expand(3, int(mask.sum())))
    assert torch.equal(pasted[:, :, mask], donors[:, :, mask])
    assert torch.equal(pasted[:, :, ~mask], inputs[:, :, ~mask])
    plain = torch.zeros(2, 3, 32, 32)
    plain[:, :, 12:20, 12:20] = 2.0
    found = backgrounds(plain)
    assert found.plain.all()
    painted = recolour(plain, found, torch.arange(2), torch.ones(2, 3))
    assert torch.equal(painted[:, :, 12:20, 12:20], plain[:, :, 12:20, 12:20])
    assert bool((painted[:, :, 0, 0] == 1).all())


def test_two_strategies_within_a_class_are_two_clusters() -> None:
    maps = 0.05 * torch.rand(24, 32, 32, generator=torch.Generator().manual_seed(0))
    maps[:12, :10, :10] += 1
    maps[12:, 20:, 20:] += 1
    found = map_clusters(maps, np.zeros(24, dtype=np.int64))
    assert sorted(sorted(c.members) for c in found) == [list(range(12)), list(range(12, 24))]
