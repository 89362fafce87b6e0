import numpy as np
import pytest

from diagnose.noise import noise_rate, sureness
from diagnose.opinions import Judges, Opinions
from tests.diagnose.digits import CLASSES, digits, planted


@pytest.fixture(scope="module")
def judges():
    features, _, folds = digits()
    return Judges(features, folds)


def test_clean_labels_may_all_be_right(judges):
    _, labels, _ = digits()
    found = noise_rate(judges(labels, CLASSES), labels)
    assert found.rate.interval[0] == 0
    assert found.rate.interval[1] < 0.06
    assert found.seen < 0.01


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.1, 0.2, 0.4])
def test_the_interval_holds_the_rate_of_uniform_noise_and_is_narrow(judges, rate):
    _, labels, _ = digits()
    found = [noise_rate(judges(given, CLASSES), given) for given in (planted(labels, rate, seed) for seed in range(3))]
    low, high = np.transpose([f.rate.interval for f in found])
    assert ((low <= rate) & (rate <= high)).sum() >= 2
    assert np.median(high - low) < (0.05 if rate < 0.2 else 0.09)


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_the_interval_holds_the_rate_of_noise_by_class(judges, rate):
    _, labels, _ = digits()
    given = planted(labels, rate, 3, targets=np.roll(np.arange(CLASSES), 3))
    low, high = noise_rate(judges(given, CLASSES), given).rate.interval
    assert low <= rate <= high
    assert high - low < 0.08


def test_noise_on_hard_images_is_told_from_blind_noise_and_the_interval_is_wider(judges):
    features, labels, folds = digits()
    scores = Judges(features[:1], (folds + np.arange(len(folds))) % 5)(labels, CLASSES).scores.copy()
    rows = np.arange(len(labels))
    right = scores[rows, labels].copy()
    scores[rows, labels] = -9
    hard = np.argsort(right - scores.max(axis=1) + np.random.default_rng(0).gumbel(scale=0.3, size=len(labels)))[:270]
    given = labels.copy()
    given[hard] = scores.argmax(axis=1)[hard]
    sighted, blind = (noise_rate(judges(y, CLASSES), y) for y in (given, planted(labels, 0.15, 0)))
    assert sighted.sighted > 0.5 > blind.sighted
    assert sighted.rate.interval[0] <= 0.15 <= sighted.rate.interval[1]
    assert np.diff(sighted.rate.interval) > np.diff(blind.rate.interval)


def test_more_wrong_labels_give_a_higher_estimate(judges):
    _, labels, _ = digits()
    values = [noise_rate(judges(y, CLASSES), y).rate.value for y in (planted(labels, r, 5) for r in (0, 0.1, 0.2, 0.3))]
    assert values == sorted(values)


def test_one_class_has_no_visible_noise():
    labels = np.zeros(40, dtype=np.int64)
    x = np.random.default_rng(0).normal(size=(40, 5))
    found = noise_rate(Judges([x], np.arange(40) % 5)(labels, 1), labels)
    assert found.rate.interval[0] == 0
    assert found.disagreement == 0


def test_random_labels_are_never_called_certain_to_be_clean():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(400, 20)), rng.integers(0, 4, 400)
    found = noise_rate(Judges([x], np.arange(400) % 5)(labels, 4), labels)
    assert found.rate.interval[1] > 0.5


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="must not be empty"):
        noise_rate(Opinions(linear=np.zeros((1, 0, 2)), neighbours=np.zeros((1, 0, 2))), np.zeros(0, dtype=np.int64))


def test_sureness_ranks_images_inside_their_predicted_class():
    scores = np.array([[3.0, 0], [2, 0], [1, 0], [0, 5], [0, 1]])[None]
    places = sureness(Opinions(linear=scores, neighbours=np.zeros_like(scores)))
    np.testing.assert_allclose(places, [1 / 6, 3 / 6, 5 / 6, 1 / 4, 3 / 4])


@pytest.mark.parametrize("count", [18, 36, 90])
def test_noise_that_only_strikes_where_another_classifier_errs_is_never_ruled_out(judges, count):
    """It hides behind the classifiers' own errors: sure images hardly bear a wrong label."""
    features, labels, folds = digits()
    other = Judges(features[1:], (folds + np.arange(len(folds))) % 5)(labels, CLASSES).scores.copy()
    rows = np.arange(len(labels))
    right = other[rows, labels].copy()
    other[rows, labels] = -9
    hard = np.argsort(right - other.max(axis=1))[:count]
    given = labels.copy()
    given[hard] = other.argmax(axis=1)[hard]
    found = noise_rate(Judges(features[:1], folds)(given, CLASSES), given)
    assert found.rate.interval[0] <= count / len(labels) <= found.rate.interval[1]


def test_the_count_of_nearly_sure_images_narrows_the_interval_where_classifiers_hardly_err(judges):
    """The surest three tenths alone leave a standard error of sqrt(1.3 p (1 - p) / n), seven tenths one of sqrt(0.43)."""
    _, labels, _ = digits()
    widths = [
        np.diff(noise_rate(judges(y, CLASSES), y).rate.interval)[0] for y in (planted(labels, 0.1, s) for s in range(5))
    ]
    assert np.median(widths) < 2 * 1.9 * np.sqrt(1.3 * 0.09 / len(labels)) + 0.0125 + 0.005


def test_labels_that_look_right_to_the_classifiers_too_are_not_surely_wrong(judges):
    _, labels, _ = digits()
    opinions = judges(labels, CLASSES)
    sure = np.flatnonzero((sureness(opinions) < 0.3) & (opinions.predicted == labels))
    chosen = np.random.default_rng(0).choice(sure, 80, replace=False)
    rest = opinions.scores.copy()
    rest[np.arange(len(labels)), labels] = -9
    resembling, blind = labels.copy(), labels.copy()
    resembling[chosen] = rest.argmax(axis=1)[chosen]
    blind[chosen] = (labels[chosen] + np.random.default_rng(1).integers(1, CLASSES, 80)) % CLASSES
    one, other = (noise_rate(opinions, given).rate.interval[0] for given in (resembling, blind))
    assert one < other / 2


def test_a_rate_under_half_a_point_is_not_told_from_zero(judges):
    _, labels, _ = digits()
    low = [
        noise_rate(judges(y, CLASSES), y).rate.interval[0] for y in (planted(labels, r, 1) for r in np.arange(9) / 200)
    ]
    assert all(end == 0 or end >= 0.005 for end in low)
    assert low[0] == 0 < low[-1]
