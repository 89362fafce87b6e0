"""What the higher rungs of the ladder add to the results."""

import pytest

from diagnose.findings import Estimate, Finding, NotTested, Outcome, Part, Side
from diagnose.report import as_json, text
from diagnose.rungs import Rung
from diagnose.verdict import Results, adjudicate, shares


def accuracy(value):
    return Estimate(value=value, interval=(value - 0.02, value + 0.02))


def finding(outcome, points=None):
    return Finding(check="x", cause="schedule", side=Side.ALGORITHM, outcome=outcome, message="", points=points)


def test_theirs_is_compared_with_the_known_good_recipe_on_the_same_pictures():
    joined = Rung(yours=accuracy(0.7), known_good=accuracy(0.9)).added_to(Results(reference=accuracy(0.95)))
    assert joined.gap.value == pytest.approx(0.2)


def test_what_the_data_allows_is_the_highest_that_was_reached_and_no_part_of_the_algorithms_share():
    """Known-good reached 90 % on the few pictures that theirs reached 70 % on, and 95 % on all."""
    before = Results(reference=accuracy(0.95), target=0.99)
    verdict = adjudicate(Rung(yours=accuracy(0.7), known_good=accuracy(0.9)).added_to(before))
    data, algorithm = shares(verdict)
    assert verdict.ceiling == accuracy(0.95)
    assert data.value == pytest.approx(0.04)
    assert algorithm.value == pytest.approx(0.2)
    higher = Rung(yours=accuracy(0.7), known_good=accuracy(0.98)).added_to(before)
    assert higher.ceiling == accuracy(0.98)


def test_predictions_say_more_of_the_persons_accuracy_than_an_examination():
    before = Results(yours=accuracy(0.8), gap=accuracy(0.1))
    joined = Rung(yours=accuracy(0.7), known_good=accuracy(0.9)).added_to(before)
    assert joined.yours == accuracy(0.8)
    assert joined.gap == accuracy(0.1)


def test_without_a_known_good_model_on_the_same_pictures_the_reference_is_compared_with():
    joined = Rung(yours=accuracy(0.7)).added_to(Results(reference=accuracy(0.95)))
    assert joined.gap.value == pytest.approx(0.25)
    assert not joined.paired


def test_what_was_compared_picture_by_picture_is_paired():
    joined = Rung(yours=accuracy(0.7), gap=accuracy(0.2)).added_to(Results(reference=accuracy(0.95)))
    assert joined.gap == accuracy(0.2)
    assert joined.paired


def test_their_code_on_known_good_data_is_cell_c():
    joined = Rung(own_code=accuracy(0.4), own_line=0.8).added_to(Results())
    assert (joined.own_code, joined.own_line) == (accuracy(0.4), 0.8)


def test_an_experiment_outweighs_what_was_only_seen_and_the_graver_of_equals_counts():
    seen = finding(Outcome.FAIL)
    tried = finding(Outcome.PASS, points=accuracy(0.0))
    assert Rung(findings=(tried,)).added_to(Results(findings=(seen,))).findings == (tried,)
    assert Rung(findings=(seen,)).added_to(Results(findings=(tried,))).findings == (tried,)
    assert Rung(findings=(finding(Outcome.REVIEW),)).added_to(Results(findings=(seen,))).findings == (seen,)


def test_what_was_examined_is_no_longer_listed_as_needing_the_file():
    before = Results(not_tested=(NotTested(name="schedule", needs="--algorithm"),))
    joined = Rung(not_tested=(NotTested(name="schedule", needs="a larger --budget"),)).added_to(before)
    assert [entry.needs for entry in joined.not_tested] == ["a larger --budget"]


def test_a_part_of_the_pictures_is_named_beside_the_accuracies_that_are_of_it():
    part = Part(learnt=120, judged=200, possible=accuracy(0.84), by="a known-good model")
    results = Results(positive_control=accuracy(0.91), reference=accuracy(0.88))
    verdict = adjudicate(Rung(yours=accuracy(0.6), gap=accuracy(0.24), part=part).added_to(results))
    lines = {line.split("  ")[1]: line for line in text(verdict).splitlines() if line.startswith("  ")}
    assert "88.0 %" in lines["known-good"]
    assert lines["yours"].endswith("60.0 % [58.0, 62.0], learnt from 120 pictures and judged on 200")
    assert lines["on the same"].endswith("84.0 % [82.0, 86.0] by a known-good model")
    assert as_json(verdict)["part"]["judged"] == 200
    assert as_json(adjudicate(results))["part"] is None


def test_all_four_cells_are_in_the_json_and_in_the_text_once_the_code_was_run():
    results = Results(positive_control=accuracy(0.91), reference=accuracy(0.88), yours=accuracy(0.6))
    assert "your algorithm" not in text(adjudicate(results))
    verdict = adjudicate(Rung(own_code=accuracy(0.4), own_line=0.8).added_to(results))
    assert "40.0 %" in text(verdict)
    assert "91.0 %" in text(verdict)
    assert {name: cell["value"] for name, cell in as_json(verdict)["matrix"].items()} == {
        "A": 0.91,
        "B": 0.88,
        "C": 0.4,
        "D": 0.6,
    }
