"""Every figure against scikit-learn's or scipy's, or by hand where neither has it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as reference

from zoo import metrics


def drawn(seed: int, count: int = 200, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Labels without the last class, and probabilities that lean to them."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes - 1, count)
    logits = random.normal(size=(count, classes)) + 1.5 * np.eye(classes)[labels]
    return labels, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(5))
def test_the_figures_are_those_of_scikit_learn(seed: int) -> None:
    labels, probabilities = drawn(seed)
    found = metrics.scores(labels, probabilities)
    guess = probabilities.argmax(axis=1)
    present = np.unique(labels)
    assert found.accuracy == pytest.approx(reference.accuracy_score(labels, guess))
    assert found.balanced_accuracy == pytest.approx(
        reference.recall_score(labels, guess, labels=present, average="macro", zero_division=0)
    )
    assert found.macro_f1 == pytest.approx(
        reference.f1_score(labels, guess, labels=present, average="macro", zero_division=0)
    )
    assert found.log_loss == pytest.approx(reference.log_loss(labels, probabilities, labels=range(5)))
    assert found.count == len(labels)
    np.testing.assert_array_equal(
        metrics.confusion_matrix(labels, guess, 5), reference.confusion_matrix(labels, guess, labels=range(5))
    )


@given(st.integers(1, 400).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_the_interval_is_wilsons_and_holds_the_share(counts: tuple[int, int]) -> None:
    right, count = counts
    low, high = metrics.wilson_interval(right, count)
    expected = binomtest(right, count).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-7)
    assert low <= right / count <= high


def test_of_no_images_nothing_is_known() -> None:
    assert metrics.wilson_interval(0, 0) == (0.0, 1.0)


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    labels = np.array([0] * 10)
    sure = np.tile([0.9, 0.1], (10, 1))
    sure[5:] = [0.1, 0.9]  # nine tenths sure, right half of the time
    assert metrics.scores(labels, sure).calibration_error == pytest.approx(0.4)
    honest = np.tile([0.9, 0.1], (10, 1))
    honest[9] = [0.1, 0.9]
    assert metrics.scores(labels, honest).calibration_error == pytest.approx(0, abs=1e-9)


def test_the_bins_hold_every_image_once() -> None:
    labels, probabilities = drawn(0)
    bins = metrics.calibration_bins(labels, probabilities)
    assert bins.shape == (15, 3)
    assert bins[:, 2].sum() == pytest.approx(1)
    assert (bins[:, 1] * bins[:, 2]).sum() == pytest.approx(metrics.scores(labels, probabilities).accuracy)


def test_a_model_that_is_certain_and_wrong_has_a_finite_loss() -> None:
    found = metrics.scores(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    assert np.isfinite(found.log_loss)
    assert found.accuracy == 0.5
