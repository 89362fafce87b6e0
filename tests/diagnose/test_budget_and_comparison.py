"""Spans of time, intervals and the closed-form classifier against independent references."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.linear_model import Ridge

from diagnose import linear
from diagnose.comparison import accuracy, matched_cost, paired_difference, permutation_p, proportion
from zoo.errors import OptionError
from zoo.settings import parse_time


@pytest.mark.parametrize(("span", "expected"), [("90", 90), ("30s", 30), ("5m", 300), ("1.5h", 5400), (" 2 m ", 120)])
def test_spans_of_time_are_read(span, expected):
    assert parse_time(span) == expected


@pytest.mark.parametrize("span", ["", "soon", "-5m", "5 days", "m"])
def test_what_is_no_span_of_time_is_refused(span):
    with pytest.raises(OptionError):
        parse_time(span)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (7, 10), (10, 10), (412, 950)])
def test_a_proportion_has_wilsons_interval(successes, n):
    expected = binomtest(successes, n).proportion_ci(method="wilson")
    found = proportion(successes, n)
    assert found.value == successes / n
    assert found.interval == pytest.approx((expected.low, expected.high), abs=1e-7)


def test_nothing_counted_is_nothing_known():
    assert accuracy(np.zeros(0, dtype=bool)).interval == (0.0, 1.0)


def test_the_interval_of_a_paired_difference_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        before = rng.random(200) < 0.7
        after = np.where(before, rng.random(200) < 0.95, rng.random(200) < 0.4)
        found = paired_difference(after, before)
        held += found.interval[0] <= 0.3 * 0.4 - 0.7 * 0.05 <= found.interval[1]
    assert 0.92 <= held / 400 <= 0.99


def test_images_that_fall_together_tell_no_more_than_one_of_them():
    """Eight frames of each of 60 films, all alike: the interval is about that of the 60 films."""
    rng = np.random.default_rng(0)
    before, after = rng.random(60) < 0.7, rng.random(60) < 0.9
    films = paired_difference(after, before)
    frames = paired_difference(np.repeat(after, 8), np.repeat(before, 8), groups=np.repeat(np.arange(60), 8))
    assert frames.value == pytest.approx(films.value)
    width, expected = (found.interval[1] - found.interval[0] for found in (frames, films))
    assert width == pytest.approx(expected, rel=0.05)


def test_a_cost_is_measured_within_the_classes():
    labels = np.repeat([0, 1], 500)
    suspect = np.zeros(1000, dtype=bool)
    suspect[500:600] = True  # all suspects are of the hard class, and no worse than it
    correct = np.concatenate([np.ones(500, bool), np.tile([True, False], 250)])
    assert abs(matched_cost(correct, labels, suspect).value) < 0.01
    correct[500:600] = False
    assert matched_cost(correct, labels, suspect).value == pytest.approx(0.1 * 0.5, abs=0.005)


def test_a_permutation_p_is_never_zero():
    assert permutation_p(1.0, np.zeros(99)) == 0.01


def test_the_closed_form_is_scikit_learn_s_ridge_at_the_strength_it_chose():
    rng = np.random.default_rng(1)
    x, test = rng.normal(size=(80, 10)).astype(np.float32), rng.normal(size=(30, 10)).astype(np.float32)
    y = (x @ rng.normal(size=(10, 3)) + rng.normal(size=(80, 3))).astype(np.float32)
    found = linear.ridge(x, y, test)
    gaps = []
    for strength in linear._STRENGTHS:
        centred = x - x.mean(axis=0)
        scale = np.linalg.eigvalsh(centred.T @ centred / len(x)).mean()
        gaps.append(np.abs(Ridge(alpha=strength * scale * len(x)).fit(x, y).predict(test) - found).max())
    assert min(gaps) < 1e-3


def test_the_chosen_strength_is_strong_where_there_is_nothing_to_learn():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(100, 60)).astype(np.float32), rng.normal(size=(100, 1)).astype(np.float32)
    assert np.abs(linear.ridge(x, y, x) - y.mean()).max() < 1.2 * np.abs(y - y.mean()).max() / 2
