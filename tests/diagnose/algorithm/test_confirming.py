"""The edit is proposed where a fault in the file failed, and the training with it shows what it wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.faults.registry import CODE_FAULTS, planted, source_of
from diagnose.algorithm import ExamineOptions, examine
from diagnose.algorithm_context import AlgorithmContext
from diagnose.confirming import propose
from diagnose.findings import Finding, Outcome, Side
from diagnose.sandbox.measurements import Variant

TEXTS = {fault.name: planted(source_of("base"), fault, -1) for fault in CODE_FAULTS}
CONTEXT = AlgorithmContext(num_classes=3, base=Variant(epochs=10.0))


def finding(cause: str, outcome: Outcome) -> Finding:
    return Finding(check="x", cause=cause, side=Side.ALGORITHM, outcome=outcome, message="")


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(TEXTS["epochs-few"], encoding="utf-8")
    return path


def test_what_was_mended_in_the_trainings_is_written_into_the_file(file):
    proposal = propose(file, [finding("too-few-epochs", Outcome.FAIL)], CONTEXT, {})

    assert "-EPOCHS = 1\n+EPOCHS = 10\n" in proposal.edit.diff
    assert proposal.edit.after is None


def test_a_sure_fault_that_there_was_no_time_to_try_is_mended_too(file):
    sure = {"no-update": Variant(reference=("loader",))}
    proposal = propose(file, [finding("no-update", Outcome.FAIL)], AlgorithmContext(num_classes=3), sure)

    assert "+    return DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=train)" in proposal.edit.diff


@pytest.mark.parametrize("found", [[], [finding("too-few-epochs", Outcome.REVIEW)], [finding("crash", Outcome.FAIL)]])
def test_without_a_failure_that_an_edit_mends_there_is_none(file, found):
    assert propose(file, found, CONTEXT, {}) is None


@pytest.mark.slow
def test_confirming_trains_the_edited_file_and_leaves_the_persons_alone(file, pictures):
    before = TEXTS["zero-grad-late"]
    file.write_text(before, encoding="utf-8")

    seen = examine(file, pictures, ExamineOptions(reference="small_cnn", budget=90, validation=100, confirm=True))

    assert seen.edit.gain.interval[0] > 0.3
    assert seen.edit.after.value - seen.edit.before.value == pytest.approx(seen.edit.gain.value, abs=0.1)
    assert file.read_text(encoding="utf-8") == before
