import numpy as np
import pytest

from diagnose.checks.no_signal import NoSignal
from diagnose.findings import Outcome
from tests.diagnose.contexts import context_of
from tests.diagnose.digits import digits, planted


def only(context):
    (finding,) = NoSignal().run(context)
    return finding


@pytest.mark.parametrize("imbalance", [1, 6])
def test_shuffled_labels_fail(imbalance):
    _, labels, _ = digits()
    rng = np.random.default_rng(0)
    given = rng.permutation(np.where(labels < imbalance, 0, labels))
    assert only(context_of(given)).outcome is Outcome.FAIL


def test_labels_shifted_by_one_row_fail():
    _, labels, _ = digits()
    order = np.random.default_rng(1).permutation(len(labels))
    features = [x[order] for x in digits()[0]]
    assert only(context_of(np.roll(labels[order], 1), features=features)).outcome is Outcome.FAIL


def test_true_labels_pass_and_so_do_very_noisy_ones():
    _, labels, _ = digits()
    assert only(context_of(labels)).outcome is Outcome.PASS
    assert only(context_of(planted(labels, 0.7, 0))).outcome is Outcome.PASS


def test_few_images_without_signal_are_not_blamed_for_sure():
    features, _, _ = digits()
    given = np.random.default_rng(2).integers(0, 2, 70)
    finding = only(context_of(given, features=[x[:70] for x in features]))
    assert finding.outcome in {Outcome.REVIEW, Outcome.PASS}


def test_one_class_is_not_judged():
    _, labels, _ = digits()
    assert only(context_of(np.zeros(len(labels), dtype=np.int64))).outcome is Outcome.NOT_APPLICABLE


def test_a_part_of_many_images_is_enough():
    _, labels, _ = digits()
    given = np.random.default_rng(3).permutation(labels)
    (true,) = NoSignal(most=600).run(context_of(labels))
    (false,) = NoSignal(most=600).run(context_of(given))
    assert (true.outcome, false.outcome) == (Outcome.PASS, Outcome.FAIL)
