"""The person's algorithm as a rung of the ladder."""

import pytest

from diagnose.findings import Estimate, NotTested
from diagnose.rungs import AlgorithmRung
from diagnose.verdict import Results


def rung(**changes):
    empty = {"findings": (), "controls": (), "failures": (), "not_tested": (), "yours": None, "known_good": None}
    return AlgorithmRung(**{**empty, **changes})


def accuracy(value):
    return Estimate(value=value, interval=(value - 0.02, value + 0.02))


def test_theirs_is_compared_with_the_known_good_recipe_on_the_same_pictures():
    joined = rung(yours=accuracy(0.7), known_good=accuracy(0.9)).added_to(Results(reference=accuracy(0.95)))
    assert joined.gap.value == pytest.approx(0.2)
    assert joined.ceiling == accuracy(0.9)


def test_predictions_say_more_of_the_persons_accuracy_than_an_examination():
    before = Results(yours=accuracy(0.8), gap=accuracy(0.1))
    joined = rung(yours=accuracy(0.7), known_good=accuracy(0.9)).added_to(before)
    assert joined.yours == accuracy(0.8)
    assert joined.gap == accuracy(0.1)


def test_an_accuracy_with_nothing_to_compare_it_with_makes_no_gap():
    joined = rung(yours=accuracy(0.7)).added_to(Results(reference=accuracy(0.95)))
    assert joined.gap is None
    assert joined.yours is None


def test_what_was_examined_is_no_longer_listed_as_needing_the_file():
    before = Results(not_tested=(NotTested(name="schedule", needs="--algorithm"),))
    joined = rung(not_tested=(NotTested(name="schedule", needs="a larger --budget"),)).added_to(before)
    assert [entry.needs for entry in joined.not_tested] == ["a larger --budget"]
