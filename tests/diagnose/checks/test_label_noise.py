import numpy as np
import pytest

from diagnose.checks.label_noise import LabelNoise
from diagnose.findings import Kind, Outcome
from tests.diagnose.contexts import context_of
from tests.diagnose.digits import digits, planted


def only(context):
    (finding,) = LabelNoise().run(context)
    return finding


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_wrong_labels_fail_with_the_points_that_they_cost(rate):
    _, labels, _ = digits()
    finding = only(context_of(planted(labels, rate, 0)))
    assert finding.outcome is Outcome.FAIL
    assert finding.points.interval[0] <= rate <= finding.points.interval[1] + 0.02
    assert {e.kind for e in finding.evidence} == {Kind.INTERVENTION, Kind.OBSERVATION}


def test_clean_labels_do_not_fail():
    _, labels, _ = digits()
    finding = only(context_of(labels))
    assert finding.outcome in {Outcome.PASS, Outcome.REVIEW}
    assert len(finding.examples) <= 0.01 * len(labels)


def test_suspects_are_named_with_the_label_they_should_bear():
    _, labels, _ = digits()
    given = planted(labels, 0.1, 1)
    finding = only(context_of(given))
    rows = [int(example.path[:5]) for example in finding.examples]
    wrong = [row for row in rows if given[row] != labels[row]]
    assert len(wrong) > 0.85 * len(rows)
    suggested = {int(e.path[:5]): e.suggestion for e in finding.examples}
    assert np.mean([suggested[row] == f"class {labels[row]}" for row in wrong]) > 0.95
    assert f"{len(rows)} flagged" in finding.message


def test_wrong_labels_in_training_alone_hide_no_accuracy():
    _, labels, _ = digits()
    splits = np.where(np.arange(len(labels)) % 4 == 0, "val", "train")
    given = np.where(splits == "train", planted(labels, 0.2, 2), labels)
    finding = only(context_of(given, splits=splits))
    hidden = next(e for e in finding.evidence if "hide" in e.statistic)
    assert hidden.interval[0] == 0
    assert hidden.value < 0.02


def test_a_handful_of_images_or_one_class_is_not_judged():
    features, labels, _ = digits()
    few = context_of(labels[:30], features=[x[:30] for x in features])
    one = context_of(np.zeros(len(labels), dtype=np.int64))
    assert only(few).outcome is Outcome.NOT_APPLICABLE
    assert only(one).outcome is Outcome.NOT_APPLICABLE


def test_many_images_are_examined_in_blocks_with_the_same_result(monkeypatch):
    monkeypatch.setattr("diagnose.examination._BLOCK", 1000)
    _, labels, _ = digits()
    given = planted(labels, 0.1, 3)
    finding = only(context_of(given))
    rows = np.array([int(example.path[:5]) for example in finding.examples])
    assert finding.outcome is Outcome.FAIL
    assert (given != labels)[rows].mean() > 0.75
    assert 0.08 < len(rows) / len(labels) < 0.14
