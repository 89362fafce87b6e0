"""A log as a rung: which causes its curves name, and when they count."""

from __future__ import annotations

import numpy as np
import pytest

from diagnose.findings import Estimate, Outcome
from diagnose.ladder.log import log_rung
from diagnose.logs.reading import read_log
from diagnose.verdict import Results

GOOD = Results(reference=Estimate(value=0.95, interval=(0.92, 0.97)))


@pytest.fixture
def look(colours, tmp_path):
    def run(rows, results=GOOD):
        path = tmp_path / "metrics.csv"
        lines = ["epoch,train_loss,val_loss,val_accuracy,lr"]
        lines += [",".join(map(str, (epoch, *row, 0.01))) for epoch, row in enumerate(rows, start=1)]
        path.write_text("\n".join(lines) + "\n")
        return log_rung(colours, read_log(path), results)

    return run


def named(rung, outcome) -> set[str]:
    return {finding.cause for finding in rung.findings if finding.outcome is outcome}


def overfitting(last):
    return [(np.exp(-e), 0.5 + 0.1 * abs(e - 4), last) for e in range(12)]


def test_a_training_that_diverges_is_a_failure_and_says_since_when(look):
    rung = look([(2, 2, 0.3), (1, 1, 0.5), ("nan", "nan", 0.1), ("nan", "nan", 0.1)])
    (found,) = [f for f in rung.findings if f.outcome is Outcome.FAIL]

    assert found.cause == "learning-rate"
    assert "from epoch 3 on" in found.message
    assert "peaked at 0.01" in found.remedy
    assert rung.yours.value == pytest.approx(0.1, abs=0.01)


def test_a_shape_counts_only_where_the_training_stays_under_the_known_good_model(look):
    assert named(look(overfitting(0.6)), Outcome.FAIL) == {"overfitting"}
    assert named(look(overfitting(0.95)), Outcome.REVIEW) == {"overfitting"}


def test_two_epochs_are_too_few_to_judge_and_say_so(look):
    rung = look([(2, 2, 0.3), (1, 1, 0.5)])

    assert rung.findings == ()
    assert {entry.name for entry in rung.not_tested} >= {"learning-rate", "overfitting"}
