"""Two classifiers on the same images, against references."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest, multinomial

from zoo.paired import difference, together


def _pair(both: int, first: int, second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    one = np.array([True] * both + [True] * first + [False] * (second + neither))
    other = np.array([True] * both + [False] * first + [True] * second + [False] * neither)
    return one, other


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (3, 12), (40, 41), (0, 6), (200, 90)])
def test_the_p_value_is_that_of_the_exact_binomial_test(first: int, second: int) -> None:
    found = difference(*_pair(100, first, second, 7))
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert found.p_value == pytest.approx(expected)
    assert (found.only_first, found.only_second, found.count) == (first, second, 107 + first + second)
    assert found.accuracy == pytest.approx((first - second) / found.count)


def test_the_interval_is_walds_on_a_table_with_half_an_image_more_in_each_cell() -> None:
    # (53.5, 16.5, 8.5, 9.5) of 88: 8 / 88 +- 1.96 sqrt((16.5 + 8.5) / 88 - (8 / 88)^2) / sqrt(88), by hand.
    found = difference(*_pair(53, 16, 8, 9))
    assert found.interval == pytest.approx((-0.0187, 0.2005), abs=2e-3)


@pytest.mark.parametrize("shares", [(0.8, 0.08, 0.04, 0.08), (0.5, 0.2, 0.2, 0.1), (0.93, 0.05, 0.01, 0.01)])
def test_the_interval_covers_the_truth_as_often_as_it_promises(shares: tuple[float, ...]) -> None:
    n, truth, covered = 40, shares[1] - shares[2], 0.0
    law = multinomial(n, [shares[1], shares[2], shares[0] + shares[3]])
    for first, second in product(range(n + 1), repeat=2):
        if first + second <= n:
            low, high = difference(*_pair(n - first - second, first, second, 0)).interval
            covered += law.pmf([first, second, n - first - second]) * (low <= truth <= high)
    assert covered > 0.94


def test_swapping_the_two_turns_the_signs_round() -> None:
    one, other = _pair(50, 9, 2, 3)
    there, back = difference(one, other), difference(other, one)
    assert there.accuracy == -back.accuracy
    assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]))
    assert there.p_value == back.p_value


def test_equal_classifiers_are_within_noise_and_clearly_different_ones_are_not() -> None:
    assert difference(*_pair(50, 0, 0, 3)).noise
    assert difference(*_pair(50, 4, 2, 3)).noise
    assert not difference(*_pair(50, 20, 2, 3)).noise


def test_several_pairs_are_judged_more_strictly() -> None:
    ones = [difference(*_pair(50, b, c, 3)) for b, c in ((20, 2), (9, 1), (8, 2))]
    adjusted = [one.p_value for one in together(ones)]
    raw = [one.p_value for one in ones]
    assert adjusted == pytest.approx([3 * raw[0], 2 * raw[1], max(2 * raw[1], raw[2])])
    assert not ones[1].noise
    assert [one.noise for one in together(ones)] == [False, False, True]
