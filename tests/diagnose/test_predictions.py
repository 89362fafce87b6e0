"""Predictions of any framework are understood, and what cannot be understood is said."""

from pathlib import Path

import numpy as np
import pytest

from diagnose.findings import Outcome
from diagnose.predictions import OwnPredictions, read_predictions
from diagnose.rescoring import prediction_findings, rescore
from tests import faults
from zoo.data import Dataset, Sample
from zoo.errors import DataError

DATA = Dataset(
    root=Path("pictures"),
    samples=(
        Sample(path="train/cat/1.jpg", label=0),
        Sample(path="train/dog/1.jpg", label=1),
        Sample(path="val/cat/two, three.jpg", label=0),
    ),
    classes=("cat", "dog"),
)


def read(tmp_path, text, **keywords):
    file = tmp_path / "preds.csv"
    file.write_text(text, encoding="utf-8")
    return read_predictions(file, DATA, **keywords)


@pytest.mark.parametrize(
    "path",
    ["train/cat/1.jpg", "./train/cat/1.jpg", "/home/me/pictures/train/cat/1.jpg", "train\\cat\\1.jpg", "cat/1.jpg"],
)
def test_a_path_is_recognised_however_it_is_written(tmp_path, path):
    found = read(tmp_path, f"path,label,predicted\n{path},cat,dog\n")
    assert found.predicted.tolist() == [1, -1, -1]
    assert found.stated.tolist() == [0, -1, -1]


def test_a_bare_name_that_two_files_bear_matches_neither(tmp_path):
    with pytest.raises(DataError, match="not in the data"):
        read(tmp_path, "path,predicted\n1.jpg,cat\n")


def test_quoted_paths_other_column_names_and_a_byte_order_mark_are_read(tmp_path):
    found = read(tmp_path, '\ufeffFilename,Pred\n"two, three.jpg",cat\n')
    assert found.predicted.tolist() == [-1, -1, 0]


def test_class_numbers_are_taken_in_the_order_of_the_class_names(tmp_path):
    found = read(tmp_path, "path,predicted\ntrain/cat/1.jpg,1\ntrain/dog/1.jpg,0.0\n")
    assert found.predicted.tolist() == [1, 0, -1]


def test_probabilities_are_put_in_the_data_s_order(tmp_path):
    found = read(tmp_path, "path,predicted,prob:dog,prob:cat\ntrain/dog/1.jpg,dog,0.75,0.25\n")
    assert np.allclose(found.probabilities[1], [0.25, 0.75])
    assert np.isnan(found.probabilities[0]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no predictions"),
        ("path,predicted\n", "holds no predictions"),
        ("file_id,guess\n1,cat\n", "no column 'path'"),
        ("path,guess\ntrain/cat/1.jpg,cat\n", "no column 'predicted'"),
        ("path,predicted\nother/9.jpg,cat\n", "not in the data"),
        ("path,predicted\ntrain/cat/1.jpg,bird\n", "classes that the data does not have: 'bird'"),
        ("path,predicted\ntrain/cat/1.jpg,cat\ntrain/cat/1.jpg,dog\n", "more than once"),
        ("path,predicted\ntrain/cat/1.jpg\n", "Row 2"),
        ("path,predicted,prob:cat,prob:dog\ntrain/cat/1.jpg,cat,nan,0.5\n", "row 2"),
        ("path,predicted,prob:cat,prob:dog\ntrain/cat/1.jpg,cat,3.2,-1.5\n", "row 2"),
        ("path,predicted,prob:cat,prob:dog\ntrain/cat/1.jpg,cat,much,0.5\n", "no number"),
        ("path,predicted,prob:cat\ntrain/cat/1.jpg,cat,1.0\n", "none for: dog"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused_with_its_fault(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_predictions(tmp_path / "none.csv", DATA)


@pytest.fixture(scope="module")
def context():
    return faults.healthy(0, 500).context()


def good_predictions(context):
    return context.predicted("tiny")


def test_theirs_is_compared_with_the_reference_on_the_same_pictures(context):
    theirs = good_predictions(context).copy()
    wrong = context.held_out[::4]
    theirs[wrong] = (context.labels[wrong] + 1) % 10
    yours, gap = rescore(context, OwnPredictions(predicted=theirs))
    held_out = context.held_out
    assert yours.value == pytest.approx((theirs == context.labels)[held_out].mean())
    assert gap.value == pytest.approx((context.correct("tiny")[held_out].mean()) - yours.value)
    assert gap.interval[0] > 0.1


def test_outputs_under_wrong_names_are_found_by_renaming(context):
    renamed = (good_predictions(context) + 1) % 10
    found = {f.cause: f for f in prediction_findings(context, OwnPredictions(predicted=renamed))}
    assert found["label-map"].outcome is Outcome.FAIL
    assert found["label-map"].points.value > 0.5
    fine = {f.cause: f for f in prediction_findings(context, OwnPredictions(predicted=good_predictions(context)))}
    assert fine["label-map"].outcome is Outcome.PASS


def test_errors_that_only_theirs_makes_are_told_from_shared_ones(context):
    theirs = good_predictions(context).copy()
    shared = int((~context.correct("tiny"))[context.held_out].sum())
    alone = context.held_out[context.correct("tiny")[context.held_out]][:7]
    theirs[alone] = (context.labels[alone] + 1) % 10
    errors = next(f for f in prediction_findings(context, OwnPredictions(predicted=theirs)) if f.cause == "errors")
    assert [evidence.value for evidence in errors.evidence] == [shared + 7, 7]
    assert {example.path for example in errors.examples} == {context.paths[i] for i in alone}


def test_a_stated_accuracy_that_the_predictions_do_not_have_is_an_evaluation_fault(context):
    from dataclasses import replace

    own = OwnPredictions(predicted=good_predictions(context))
    real = float(context.correct("tiny")[context.held_out].mean())
    for got, outcome in ((real, Outcome.PASS), (real - 0.2, Outcome.FAIL)):
        found = {f.cause: f for f in prediction_findings(replace(context, got=got), own)}
        assert found["evaluation"].outcome is outcome
