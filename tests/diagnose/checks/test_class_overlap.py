import numpy as np
import pytest

from diagnose.checks.class_overlap import ClassOverlap
from diagnose.checks.label_noise import LabelNoise
from diagnose.examination import examine
from diagnose.findings import Outcome
from diagnose.overlap import Pair, alike, merged, pairs
from tests.diagnose.contexts import context_of
from tests.diagnose.digits import CLASSES, digits, planted


def split_class(labels, label, share, new):
    rng = np.random.default_rng(label)
    given = labels.copy()
    given[(labels == label) & (rng.random(len(labels)) < share)] = new
    return given


def only(context):
    (finding,) = ClassOverlap().run(context)
    return finding


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_a_class_under_two_names_is_found_and_merging_wins_points(share):
    _, labels, _ = digits()
    finding = only(context_of(split_class(labels, 3, share, CLASSES)))
    assert finding.outcome is Outcome.FAIL
    assert "class 3 and class 10" in finding.message
    assert finding.points.interval[0] > 0


def test_two_classes_under_two_names_cost_more_than_one():
    _, labels, _ = digits()
    one = split_class(labels, 3, 0.5, CLASSES)
    assert (
        only(context_of(split_class(one, 5, 0.5, CLASSES + 1))).points.value > 1.5 * only(context_of(one)).points.value
    )


def test_classes_that_differ_pass():
    _, labels, _ = digits()
    assert only(context_of(labels)).outcome is Outcome.PASS


def test_wrong_labels_are_not_taken_for_overlap():
    _, labels, _ = digits()
    blind = only(context_of(planted(labels, 0.3, 0)))
    by_class = only(context_of(planted(labels, 0.3, 0, targets=np.roll(np.arange(CLASSES), 1))))
    assert {blind.outcome, by_class.outcome} <= {Outcome.PASS, Outcome.REVIEW}


def test_two_classes_whose_labels_were_mixed_overlap_and_merging_wins_what_the_mixing_cost():
    _, labels, _ = digits()
    rng = np.random.default_rng(0)
    mixed = np.where(np.isin(labels, [2, 7]) & (rng.random(len(labels)) < 0.5), rng.choice([2, 7], len(labels)), labels)
    finding = only(context_of(mixed))
    assert finding.outcome is Outcome.FAIL
    assert "class 2 and class 7" in finding.message
    low, high = finding.points.interval
    assert low < (mixed != labels).mean() < high


def test_the_rate_of_wrong_labels_allows_for_classes_that_look_alike_but_are_two():
    _, labels, _ = digits()
    rng = np.random.default_rng(0)
    mixed = np.where(np.isin(labels, [2, 7]), rng.choice([2, 7], len(labels)), labels)
    low, high = examine(context_of(mixed)).noise.rate.interval
    assert low == 0
    assert (mixed != labels).mean() < high < 0.2


def test_overlap_is_not_taken_for_wrong_labels():
    _, labels, _ = digits()
    (finding,) = LabelNoise().run(context_of(split_class(split_class(labels, 3, 0.5, 10), 5, 0.5, 11)))
    assert finding.outcome is not Outcome.FAIL


def test_separation_is_the_area_under_the_curve():
    from sklearn.metrics import roc_auc_score

    from diagnose.opinions import Judges

    features, labels, folds = digits()
    given = planted(labels, 0.2, 1)
    opinions = Judges(features, folds)(given, CLASSES)
    pair = pairs(opinions, given)[0]
    members = np.isin(given, pair.classes)
    lead = opinions.scores[members, pair.classes[1]] - opinions.scores[members, pair.classes[0]]
    assert pair.separation == pytest.approx(roc_auc_score(given[members] == pair.classes[1], lead))
    assert pair.images == members.sum()


def test_merging_follows_chains():
    class Same:
        def __init__(self, *classes):
            self.classes = classes

    labels = np.array([0, 1, 2, 3, 4])
    np.testing.assert_array_equal(merged(labels, [Same(1, 2), Same(2, 4)]), [0, 1, 1, 3, 1])


def test_labels_that_are_all_mixed_up_are_wrong_labels_and_no_overlap():
    """Merging all classes would win everything and say nothing."""
    _, labels, _ = digits()
    context = context_of(planted(labels, 0.8, 0))
    assert only(context).outcome is not Outcome.FAIL
    (noise,) = LabelNoise().run(context)
    assert noise.outcome is Outcome.FAIL
    low, high = examine(context).noise.rate.interval
    assert low <= 0.8 <= high


def test_pairs_are_alike_unless_merging_them_leaves_less_than_half_of_the_classes():
    def same(first, second):
        return Pair(
            classes=(first, second), separation=0.5, error=0.05, mistaken=0.5, mistaken_when_sure=0.5, images=100
        )

    assert alike([same(0, 1)], 3) == [same(0, 1)]
    assert alike([same(0, 1), same(2, 3)], 4) == [same(0, 1), same(2, 3)]
    assert alike([same(0, 1), same(1, 2), same(2, 3)], 6) == [same(0, 1), same(1, 2), same(2, 3)]
    assert alike([same(0, 1), same(1, 2), same(2, 3), same(3, 4)], 6) == []


def test_two_classes_have_no_pair_to_merge():
    _, labels, _ = digits()
    assert only(context_of(labels % 2)).outcome is Outcome.NOT_APPLICABLE
