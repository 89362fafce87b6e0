from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from explain import Badge, Deletion, class_weights, relevance_gain
from explain.faithfulness import Gain, Meter
from explain.null import Null, badges, matched_null
from tests.explain.conftest import planted

HOW = Deletion(patches=8, steps=8)


def gain_of(shares: np.ndarray) -> Gain:
    return Gain(value=shares, span=np.ones_like(shares), blank=np.zeros(len(shares), dtype=bool), half=shares)


def test_the_p_value_is_the_maps_rank_among_null_maps() -> None:
    null = Null(shares=np.arange(99) / 100)
    np.testing.assert_allclose(null.p(gain_of(np.array([2.0, 0.97, 0.5, -1.0]))), [0.01, 0.03, 0.5, 1.0])


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: rng.normal(0, 0.2, n),
        lambda rng, n: rng.uniform(-1, 1, n),
        lambda rng, n: rng.standard_exponential(n),
        lambda rng, n: np.where(rng.random(n) < 0.1, 0.9, 0.0) + rng.normal(0, 0.01, n),
    ],
    ids=["normal", "even", "skewed", "two humps"],
)
def test_one_null_map_in_twenty_is_called_faithful_whatever_their_distribution(
    draw: Callable[[np.random.Generator, int], np.ndarray],
) -> None:
    rng = np.random.default_rng(0)
    words = [word for _ in range(400) for word in badges(gain_of(draw(rng, 10)), Null(shares=draw(rng, 96)))]
    assert words.count(Badge.FAITHFUL) / len(words) == pytest.approx(0.05, abs=0.015)
    assert words.count(Badge.WEAK) / len(words) == pytest.approx(1 / 6 - 0.05, abs=0.03)


@pytest.mark.parametrize(("images", "level"), [(39, 0.05), (16, 0.059)])
def test_the_level_holds_where_each_null_map_has_an_image_of_its_own(images: int, level: float) -> None:
    # Gains on one image are alike: three fifths of their variance lie between images.
    rng = np.random.default_rng(0)
    words = []
    for _ in range(4000):
        effects = np.sqrt(0.6) * rng.normal(size=images)[np.arange(39) % images]
        null = Null(shares=effects + np.sqrt(0.4) * rng.normal(size=39))
        words += badges(gain_of(rng.normal(size=10)), null)
    assert words.count(Badge.FAITHFUL) / len(words) == pytest.approx(level, abs=0.004)
    assert words.count(Badge.WEAK) / len(words) == pytest.approx(1 / 6 - 0.05, abs=0.02)


def test_true_maps_are_faithful_and_other_images_maps_are_not(patch_net: nn.Module) -> None:
    places = [(16 * (k % 4), 16 * (k // 4)) for k in range(14)]
    inputs = torch.cat([planted(at=at) for at in places])
    weights = class_weights(torch.zeros(14, dtype=torch.long), 2)
    maps = inputs.mean(1)
    null = matched_null(Meter(patch_net, inputs, weights, passes=1), maps, HOW)
    own = badges(relevance_gain(patch_net, inputs, weights, maps, HOW), null)
    others = badges(relevance_gain(patch_net, inputs, weights, maps.roll(5, 0), HOW), null)
    assert own.count(Badge.FAITHFUL) >= 10
    assert others.count(Badge.FAITHFUL) <= 2


def test_two_images_have_null_maps_enough_for_every_badge(patch_net: nn.Module) -> None:
    inputs = torch.cat([planted(at=(0, 0)), planted(at=(0, 16))])
    weights, maps = class_weights(torch.zeros(2, dtype=torch.long), 2), inputs.mean(1)
    null = matched_null(Meter(patch_net, inputs, weights, passes=1), maps, HOW)
    assert len(null.shares) >= 20
    gain = relevance_gain(patch_net, inputs, weights, maps, HOW)
    assert set(badges(gain, null)) == {Badge.FAITHFUL}
    negated = relevance_gain(patch_net, inputs, weights, -maps, HOW)
    assert set(badges(negated, null)) == {Badge.NO_BETTER_THAN_NULL}


def test_a_null_map_costs_half_the_passes_of_a_heatmap(patch_net: nn.Module) -> None:
    inputs = torch.cat([planted(at=(8 * k, 8 * k)) for k in range(4)])
    weights = class_weights(torch.zeros(4, dtype=torch.long), 2)
    seen: list[int] = []
    matched_null(Meter(patch_net, inputs, weights, passes=1, tell=seen.append), inputs.mean(1), HOW)
    # Four images whole and filled; four deletions in each direction, where a heatmap takes seven.
    assert sum(seen) == 4 * 2 + 39 * 2 * 4


def test_null_maps_are_spread_over_all_images_though_only_some_have_a_map(patch_net: nn.Module) -> None:
    inputs = torch.cat([planted(at=(8 * (k % 6), 8 * (k // 6))) for k in range(32)])
    weights = class_weights(torch.zeros(32, dtype=torch.long), 2)
    seen: list[tuple[Tensor, Tensor]] = []

    class Watched(Meter):
        def gain(self, maps: Tensor, how: Deletion, which: Tensor | None = None) -> Gain:
            assert which is not None
            seen.append((maps, which))
            return super().gain(maps, how, which)

    maps = inputs[:16].mean(1)
    matched_null(Watched(patch_net, inputs, weights, passes=1), maps, HOW)
    ((nulls, which),) = seen
    assert torch.bincount(which).tolist() == [2] * 7 + [1] * 25
    # No image is judged by its own map.
    own = [bool((inputs[k].mean(0) == null).all()) for null, k in zip(nulls, which.tolist(), strict=True)]
    assert not any(own)
