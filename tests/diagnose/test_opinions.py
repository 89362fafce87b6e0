import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestNeighbors

from diagnose.opinions import Judges
from tests.diagnose.digits import CLASSES, digits, planted


@pytest.fixture(scope="module")
def judges():
    features, _, folds = digits()
    return Judges(features, folds)


def test_the_regression_is_scikit_learns_ridge_fitted_on_the_other_folds():
    features, labels, folds = digits()
    opinions = Judges(features[:1], folds)(labels, CLASSES)
    x = features[0] - features[0].mean(axis=0)
    x /= np.sqrt((x**2).sum(axis=1).mean())
    inside = folds == 2
    targets = np.eye(CLASSES)[labels]
    share = targets.mean(axis=0)
    model = Ridge(alpha=1e-3 * (~inside).sum(), fit_intercept=False).fit(x[~inside], (targets - share)[~inside])
    np.testing.assert_allclose(opinions.linear[0][inside], model.predict(x[inside]) + share, atol=2e-3)


def test_the_vote_is_that_of_the_nearest_images_of_other_folds():
    features, labels, folds = digits()
    votes = Judges(features[:1], folds)(labels, CLASSES).neighbours[0]
    x = features[0] - features[0].mean(axis=0)
    inside = folds == 3
    search = NearestNeighbors(n_neighbors=15, metric="cosine").fit(x[~inside])
    nearest = labels[~inside][search.kneighbors(x[inside], return_distance=False)]
    expected = np.stack([(nearest == c).mean(axis=1) for c in range(CLASSES)], axis=1)
    assert (np.abs(votes[inside] - expected).max(axis=1) < 1e-6).mean() > 0.99


def test_an_images_own_label_has_no_say_in_its_opinion(judges):
    _, labels, _ = digits()
    changed = labels.copy()
    changed[7] = (changed[7] + 1) % CLASSES
    before, after = judges(labels, CLASSES), judges(changed, CLASSES)
    np.testing.assert_allclose(before.linear[:, 7], after.linear[:, 7], atol=1e-3)
    np.testing.assert_array_equal(before.neighbours[:, 7], after.neighbours[:, 7])


def test_images_not_learnt_from_have_no_say_at_all(judges):
    _, labels, _ = digits()
    left_out = np.arange(len(labels)) % 3 == 0
    noisy = np.where(left_out, (labels + 1) % CLASSES, labels)
    clean, blind = (judges(given, CLASSES, learn_from=~left_out) for given in (labels, noisy))
    np.testing.assert_allclose(clean.scores, blind.scores, atol=1e-4)


def test_quarrels_hardly_move_when_labels_are_wrong(judges):
    _, labels, _ = digits()
    clean, noisy = (judges(y, CLASSES).quarrels.mean() for y in (labels, planted(labels, 0.2, 1)))
    assert abs(clean - noisy) < 0.02


def test_classifiers_agree_on_most_digits(judges):
    _, labels, _ = digits()
    assert (judges(labels, CLASSES).predicted == labels).mean() > 0.95


def test_more_images_than_references_are_judged_by_the_references(monkeypatch):
    monkeypatch.setattr("diagnose.opinions._REFERENCES", 500)
    features, labels, folds = digits()
    assert (Judges(features, folds)(labels, CLASSES).predicted == labels).mean() > 0.93
