import numpy as np
import pytest

from diagnose.ceiling import bayes_bound, ceiling, cover_hart
from diagnose.noise import noise_rate
from diagnose.opinions import Judges
from tests.diagnose.digits import CLASSES, digits, planted


def measured(judges, labels, num_classes=CLASSES):
    return ceiling(judges, labels, noise_rate(judges(labels, num_classes), labels), num_classes=num_classes)


@pytest.fixture(scope="module")
def judges():
    features, _, folds = digits()
    return Judges(features, folds)


def gaussians(n, distance, seed=0):
    """Two classes whose best accuracy is known: unit normals ``distance`` apart, seen from one point of the compass."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    x = rng.normal(size=(n, 2)) * [1, 0.05] + np.outer(labels - 0.5, [distance, 0]) + [0, 8]
    return x, labels, rng.permutation(n) % 5


@pytest.mark.parametrize(("distance", "best"), [(1.0, 0.691), (2.0, 0.841), (4.0, 0.977)])
def test_the_interval_holds_the_best_accuracy_of_two_normals(distance, best):
    x, labels, folds = gaussians(4000, distance)
    found = measured(Judges([x], folds), labels, 2)
    assert found.given.interval[0] - 0.01 <= best <= found.given.interval[1]
    assert found.enough


def test_the_bound_is_cover_and_harts():
    assert cover_hart(0.0, 10) == 0
    assert cover_hart(0.9, 10) == pytest.approx(0.9)
    error = cover_hart(0.3, 2)
    assert 2 * error * (1 - error) == pytest.approx(0.3)  # with two classes the neighbour errs 2 R (1 - R)


def test_labels_drawn_anew_move_both_ends_as_they_should(judges):
    _, labels, _ = digits()
    found = measured(judges, labels)
    assert found.self_test.stray < 0.06
    np.testing.assert_array_less(np.diff(found.self_test.expected, axis=1), 0)


def test_wrong_labels_lower_the_ceiling_on_given_labels_and_not_on_corrected_ones(judges):
    _, labels, _ = digits()
    clean, noisy = measured(judges, labels), measured(judges, planted(labels, 0.2, 0))
    assert noisy.given.value < clean.given.value - 0.15
    assert abs(noisy.corrected.value - clean.given.value) < 0.04
    assert noisy.corrected.interval[0] < clean.given.value < noisy.corrected.interval[1] + 0.01


def test_few_images_are_called_too_few_and_the_interval_is_ordered(judges):
    _, labels, _ = digits()
    found = measured(judges, labels)
    assert not found.enough
    for estimate in (found.given, found.corrected):
        assert 0 <= estimate.interval[0] <= estimate.value <= estimate.interval[1] <= 1


def test_the_embedding_that_separates_is_chosen():
    x, labels, folds = gaussians(1500, 4.0)
    junk = np.random.default_rng(1).normal(size=x.shape)
    half = np.arange(len(labels)) % 2 == 0
    good, both = (bayes_bound(Judges(m, folds), labels, half, num_classes=2) for m in ([x], [junk, x]))
    assert both.value == pytest.approx(good.value)
