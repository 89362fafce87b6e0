import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from diagnose.label_errors import suspects, transitions
from diagnose.noise import noise_rate
from diagnose.opinions import Judges
from tests.diagnose.digits import CLASSES, digits, planted


@pytest.fixture(scope="module")
def judges():
    features, _, folds = digits()
    return Judges(features, folds)


def found(judges, given, **more):
    noise = noise_rate(judges(given, CLASSES), given)
    return suspects(judges, given, noise, num_classes=CLASSES, **more)


def f1(wrong, flagged):
    return 2 * wrong[flagged].sum() / (wrong.sum() + len(flagged))


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.4])
def test_planted_wrong_labels_are_ranked_first_and_the_cut_is_near_the_best(judges, rate):
    _, labels, _ = digits()
    given = planted(labels, rate, 1)
    wrong = given != labels
    result = found(judges, given)
    assert roc_auc_score(wrong, -result.log_odds) > 0.985
    assert f1(wrong, result.flagged) > 0.94 * f1(wrong, result.order[: wrong.sum()])


def test_confusion_between_two_classes_is_found_better_than_by_confidence_alone(judges):
    _, labels, _ = digits()
    given = planted(labels, 0.4, 2, targets=np.roll(np.arange(CLASSES), 1))
    wrong = given != labels
    scores = judges(given, CLASSES).scores
    confidence = roc_auc_score(wrong, -scores[np.arange(len(given)), given])
    assert roc_auc_score(wrong, -found(judges, given).log_odds) > max(0.97, confidence)


def test_clean_labels_are_left_alone(judges):
    _, labels, _ = digits()
    result = found(judges, labels)
    assert result.count <= 0.01 * len(labels)
    assert result.expected[0] == 0


def test_the_suggestion_is_the_true_label(judges):
    _, labels, _ = digits()
    given = planted(labels, 0.1, 4)
    result = found(judges, given)
    real = result.flagged[given[result.flagged] != labels[result.flagged]]
    assert (result.suggested[real] == labels[real]).mean() > 0.95
    assert (result.suggested != given).all()


def test_the_number_that_is_expected_to_be_real_holds_the_number_that_is(judges):
    _, labels, _ = digits()
    for seed in range(4):
        given = planted(labels, 0.1, seed)
        result = found(judges, given)
        low, high = result.expected
        assert low <= (given != labels)[result.flagged].sum() <= high
        assert high - low < result.count


def test_further_probes_have_a_say(judges):
    _, labels, _ = digits()
    given = planted(labels, 0.1, 6)
    truth = np.full((len(labels), CLASSES), 1e-4, dtype=np.float32)
    truth[np.arange(len(labels)), labels] = 1
    wrong = given != labels
    assert f1(wrong, found(judges, given, probabilities=[truth]).flagged) >= f1(wrong, found(judges, given).flagged)


def test_transitions_are_those_planted_and_uniform_where_nothing_speaks_against_it(judges):
    _, labels, _ = digits()
    targets = np.roll(np.arange(CLASSES), 3)
    given = planted(labels, 0.3, 7, targets=targets)
    matrix = transitions(judges(given, CLASSES), given, sighted=0)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    assert matrix[np.arange(CLASSES), targets].mean() > 0.2
    given = planted(labels, 0.3, 7)
    matrix = transitions(judges(given, CLASSES), given, sighted=0)
    off = matrix[~np.eye(CLASSES, dtype=bool)]
    assert off.std() < 0.3 * off.mean()


def test_one_class_gives_no_suspects():
    labels = np.zeros(30, dtype=np.int64)
    judges = Judges([np.random.default_rng(0).normal(size=(30, 4))], np.arange(30) % 3)
    noise = noise_rate(judges(labels, 1), labels)
    assert suspects(judges, labels, noise, num_classes=1).count == 0
