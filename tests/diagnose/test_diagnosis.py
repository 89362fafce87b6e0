"""The whole diagnosis on features at hand: verdicts, isolation, budget, and data that nothing can be told of."""

import json
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from diagnose import diagnosis as module
from diagnose.check import DATA_CHECKS, Check
from diagnose.diagnosis import Options, examine
from diagnose.escalation import Stronger
from diagnose.findings import Conclusion, Control, Estimate, Outcome, Side
from diagnose.ladder.climb import read_ahead
from diagnose.predictions import OwnPredictions
from diagnose.report import as_json, exit_status, text
from diagnose.submission import Submission
from tests import faults
from zoo.errors import DataError

WORKS = Control(name="positive-control", accuracy=Estimate(value=0.97, interval=(0.94, 0.99)))


def verdict_of(world, **keywords):
    return examine(world.context(**keywords), positive_control=WORKS).verdict


def test_healthy_data_has_nothing_wrong():
    verdict = verdict_of(faults.healthy())
    assert verdict.conclusion is Conclusion.NOTHING, verdict.summary
    assert not verdict.failures
    assert exit_status(verdict) == 0


def test_a_planted_fault_in_the_data_is_blamed_on_the_data_and_named():
    verdict = verdict_of(faults.misspelt(faults.healthy(), 0.5))
    assert verdict.conclusion is Conclusion.DATA
    assert "label-names" in [cause.cause for cause in verdict.causes][:3]
    assert exit_status(verdict) == 3


def test_poor_predictions_on_healthy_data_are_blamed_on_the_algorithm():
    world = faults.healthy()
    context = world.context()
    theirs = context.predicted("tiny").copy()
    wrong = np.random.default_rng(0).permutation(len(theirs))[: len(theirs) // 3]
    theirs[wrong] = (theirs[wrong] + 1 + np.arange(len(wrong)) % 8) % 10
    verdict = examine(replace(context, predictions=OwnPredictions(predicted=theirs)), positive_control=WORKS).verdict
    assert verdict.conclusion is Conclusion.ALGORITHM
    assert verdict.yours.value < 0.75
    assert exit_status(verdict) == 4


def test_good_predictions_on_healthy_data_have_nothing_wrong():
    context = faults.healthy().context()
    own = OwnPredictions(predicted=context.predicted("tiny"))
    assert examine(replace(context, predictions=own), positive_control=WORKS).verdict.conclusion is Conclusion.NOTHING


def test_both_halves_are_blamed_where_both_fail():
    world = faults.misspelt(faults.healthy(), 0.5)
    verdict = verdict_of(world, got=0.35)
    assert verdict.conclusion is Conclusion.BOTH
    assert exit_status(verdict) == 5


def test_without_the_positive_control_the_data_is_not_blamed():
    context = faults.misspelt(faults.healthy(), 0.5).context()
    verdict = examine(context, positive_control=None).verdict
    assert verdict.conclusion is Conclusion.UNDETERMINED
    assert exit_status(verdict) == 6


def test_the_controls_are_in_their_order():
    verdict = verdict_of(faults.healthy())
    value = {control.name: control.accuracy.value for control in verdict.controls}
    assert value["shuffled-labels"] < 0.2 < value["reference"]
    assert value["majority"] < 0.2
    assert abs(value["random-resplit"] - value["reference"]) < 0.06


def one_class(world):
    return replace(world, labels=np.zeros_like(world.labels))


def same_pictures(world):
    return replace(world, files=(world.files[0],) * len(world.files))


BAD = {
    "no pictures": (faults.subset(faults.healthy(splits=False), []), "no picture can be read"),
    "all unreadable": (faults.truncated(faults.subset(faults.healthy(splits=False), []), 1), "no picture can be read"),
    "one class": (one_class(faults.healthy(splits=False)), "one label"),
    "three pictures": (faults.subset(faults.healthy(splits=False), [0, 1, 3]), "too few"),
    "identical pictures": (same_pictures(faults.healthy(0, 60, splits=False)), "same picture"),
}


@pytest.mark.parametrize("kind", BAD)
def test_data_that_nothing_can_be_told_of_says_so(kind):
    world, message = BAD[kind]
    diagnosis = examine(world.context(), positive_control=WORKS)
    assert diagnosis.verdict.conclusion is Conclusion.UNDETERMINED
    assert message in diagnosis.verdict.summary
    json.dumps(as_json(diagnosis.verdict), allow_nan=False)


@pytest.mark.parametrize("count", [10, 14, 30, 60])
@pytest.mark.parametrize("splits", [True, False])
def test_few_pictures_crash_no_check(count, splits):
    verdict = verdict_of(faults.healthy(3, count, splits=splits))
    assert not verdict.failures


def test_a_class_with_one_picture_crashes_no_check():
    world = faults.rare(faults.healthy(0, 200), 1)
    assert not verdict_of(world).failures


def test_a_class_that_only_validation_shows_crashes_no_check_and_is_named():
    world = faults.rare(faults.healthy(0, 300), 0, classes=(4,))
    verdict = verdict_of(world)
    assert not verdict.failures
    assert "label-names" in [finding.cause for finding in (*verdict.causes, *verdict.remarks)]


def test_a_check_that_crashes_is_reported_and_stops_no_other(monkeypatch):
    @dataclass(frozen=True, kw_only=True)
    class Crashing(Check):
        name: ClassVar[str] = "crashing"
        side: ClassVar[Side] = Side.DATA
        causes: ClassVar[tuple[str, ...]] = ("crashing",)

        def run(self, context):
            raise ZeroDivisionError("of course")

    checks = {"crashing": Crashing, **dict(DATA_CHECKS)}
    monkeypatch.setattr(module, "DATA_CHECKS", checks)
    verdict = verdict_of(faults.healthy(0, 120))
    assert [failure.check for failure in verdict.failures] == ["crashing"]
    assert {"duplicates", "label-names"} <= set(verdict.passed)


def test_a_spent_budget_leaves_checks_untested_and_says_which():
    diagnosis = examine(faults.healthy(0, 120).context(), positive_control=WORKS, options=Options(budget=0.0))
    untested = {entry.name for entry in diagnosis.verdict.not_tested}
    assert {"duplicates", "shortcut", "random-resplit"} <= untested


def test_a_target_out_of_reach_asks_for_a_stronger_reference():
    world = faults.healthy(0, 400)
    verdict = verdict_of(world, target=0.999)
    assert verdict.conclusion is Conclusion.UNDETERMINED
    assert "reference" in {entry.name for entry in verdict.not_tested}


def knowing(context):
    """A stronger reference that is always right on the held-out pictures."""
    predicted = np.full(len(context.dataset), -1)
    predicted[context.held_out] = context.labels[context.held_out]
    right = Estimate(value=1.0, interval=(0.998, 1.0))
    return Stronger(control=Control(name="fine-tuned", accuracy=right), predicted=predicted)


def test_a_stronger_reference_is_used_where_the_probe_misses_the_target():
    context = faults.healthy(0, 400).context(target=0.998, got=0.5)
    options = Options(escalate=lambda context, _: knowing(context))
    verdict = examine(context, positive_control=WORKS, options=options).verdict
    assert verdict.conclusion is Conclusion.ALGORITHM
    assert "fine-tuned" in {control.name for control in verdict.controls}


def test_a_probe_that_reaches_the_target_needs_no_stronger_reference():
    def never(*_):
        raise AssertionError("trained for nothing")

    context = faults.healthy(0, 400).context(target=0.5, got=0.3)
    assert not examine(context, positive_control=WORKS, options=Options(escalate=never)).verdict.failures


def test_predictions_that_beat_the_probe_call_for_a_stronger_reference_which_they_are_then_compared_with():
    context = faults.misspelt(faults.healthy(), 0.5).context()
    theirs = replace(context, predictions=OwnPredictions(predicted=context.labels.copy()))
    options = Options(escalate=lambda context, _: knowing(context))
    verdict = examine(theirs, positive_control=WORKS, options=options).verdict
    assert verdict.conclusion is not Conclusion.BOTH
    assert "fine-tuned" in {control.name for control in verdict.controls}


def test_a_stronger_reference_that_cannot_be_trained_is_reported_and_stops_nothing():
    def fails(*_):
        raise DataError("There are no pictures to train on.", remedy="")

    context = faults.healthy(0, 200).context(target=0.999, got=0.5)
    verdict = examine(context, positive_control=WORKS, options=Options(escalate=fails)).verdict
    assert [failure.check for failure in verdict.failures] == ["reference"]


def test_the_ceiling_is_shown_with_its_self_test_and_a_guess_is_called_one():
    verdict = verdict_of(faults.healthy(0, 300), target=0.999)
    limits = as_json(verdict)["ceiling"]
    assert limits["given"]["interval"][0] <= limits["given"]["value"] <= limits["given"]["interval"][1]
    assert limits["enough_images"] is False
    assert limits["forbids_target"] is False
    assert len(limits["self_test"]["expected"]["high"]) == len(limits["self_test"]["relabelled"])
    assert "images in the smallest class only a guess" in text(verdict)


def test_too_few_pictures_have_no_ceiling_and_it_is_said():
    verdict = verdict_of(faults.healthy(3, 30))
    assert verdict.limits is None
    assert "ceiling" in {entry.name for entry in verdict.not_tested}


def test_the_json_has_the_documented_keys_and_no_nan():
    verdict = verdict_of(faults.misspelt(faults.healthy(), 0.5), target=0.95, got=0.5)
    value = json.loads(json.dumps(as_json(verdict), allow_nan=False))
    assert {
        "schema",
        "verdict",
        "strength",
        "points",
        "causes",
        "controls",
        "not_tested",
        "failures",
        "seconds",
    } <= set(value)
    assert value["schema"] == 1
    assert {"target", "ceiling", "yours"} <= set(value["points"])
    cause = value["causes"][0]
    assert {"name", "side", "points", "kind", "message", "remedy", "examples"} <= set(cause)
    assert cause["kind"] in {"intervention", "observation"}


def test_the_text_starts_with_the_verdict_and_shows_five_causes_at_most():
    verdict = verdict_of(faults.strangers(faults.misspelt(faults.healthy(), 0.5), 0.1))
    lines = text(verdict).splitlines()
    assert lines[0] == verdict.summary
    assert sum(line[:2] in {f"{n}." for n in range(1, 10)} for line in lines) == min(5, len(verdict.causes))
    assert any(line.strip().startswith("->") for line in lines)


def test_a_remark_is_never_a_cause():
    verdict = verdict_of(faults.healthy(splits=False))
    assert all(finding.outcome is Outcome.REVIEW for finding in verdict.remarks)
    assert not verdict.causes


def test_what_was_read_ahead_is_not_read_again(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("epoch,train_loss,val_loss,val_accuracy\n1,2.3,2.3,0.1\n2,9.5,9.5,0.1\n3,nan,nan,0.1\n")
    options = Options(submission=Submission(log=log))
    ahead = read_ahead(options.submission)
    log.unlink()
    verdict = examine(faults.healthy(0, 120).context(), positive_control=WORKS, options=options, ahead=ahead).verdict
    assert "learning-rate" in {cause.cause for cause in verdict.causes}
