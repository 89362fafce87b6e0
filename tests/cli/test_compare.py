"""zoo compare and zoo report on runs whose predictions are known."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

import zoo
from tests.cli.typed import typed
from tests.zoo.tiny import two_colours
from zoo.errors import OptionError, RunError


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> zoo.Run:
    place = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(place / ".cache"))
        data = two_colours(place / "data", count=100)
        return zoo.finetune("lenet", data, out=place / "run", offline=True, recipe="probe")


def right_on(trained: zoo.Run, folder: Path, right: Sequence[bool]) -> Path:
    """A copy of the run that is right on exactly these of its validation images."""
    shutil.copytree(trained.path, folder)
    known = trained.predictions("val")
    guess = np.where(np.asarray(right), known.labels, 1 - known.labels)
    made = dataclasses.replace(known, probabilities=np.eye(2, dtype=np.float32)[guess])
    made.write(folder / "predictions-val.csv")
    return folder


def test_a_run_that_is_better_on_the_same_images_is_named_with_the_exact_figures(
    trained: zoo.Run, tmp_path: Path
) -> None:
    count = len(trained.predictions("val").paths)
    worse = right_on(trained, tmp_path / "worse", [i >= 12 for i in range(count)])
    better = right_on(trained, tmp_path / "better", [i != count - 1 for i in range(count)])
    done = typed("compare", worse, better, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [entry["path"] for entry in found["runs"]] == [str(worse), str(better)]
    (pair,) = found["pairs"]
    assert (pair["first"], pair["second"], pair["split"]) == (str(better), str(worse), "val")
    assert pair["difference"]["only_first"] == 12
    assert pair["difference"]["only_second"] == 1
    assert pair["difference"]["accuracy"] == pytest.approx(11 / count)
    assert pair["difference"]["p_value"] == pytest.approx(binomtest(1, 13).pvalue)
    assert pair["noise"] is False
    told = typed("compare", worse, better).stdout
    assert "#2 is better than #1." in told
    assert f"on {count} val images" in told


def test_a_difference_that_chance_explains_is_called_noise(trained: zoo.Run, tmp_path: Path) -> None:
    count = len(trained.predictions("val").paths)
    runs = [right_on(trained, tmp_path / str(k), [i not in range(k, 4) for i in range(count)]) for k in (0, 2)]
    told = typed("compare", *runs)
    assert told.exit_code == 0
    assert "within noise" in told.stdout
    assert "is better" not in told.stdout


def test_several_pairs_are_looked_at_together(trained: zoo.Run, tmp_path: Path) -> None:
    count = len(trained.predictions("val").paths)
    runs = [right_on(trained, tmp_path / str(k), [i >= k for i in range(count)]) for k in (0, 6, 14)]
    done = typed("compare", *runs, "--json")
    pairs = json.loads(done.stdout)["pairs"]
    alone = sorted(binomtest(0, n).pvalue for n in (6, 8, 14))
    holm = [min(1, 3 * alone[0]), min(1, 2 * alone[1]), alone[2]]
    holm = list(np.maximum.accumulate(holm))
    assert sorted(pair["difference"]["p_value"] for pair in pairs) == pytest.approx(holm)
    assert "Holm" in typed("compare", *runs).stdout


def test_runs_of_other_images_are_not_compared(trained: zoo.Run, tmp_path: Path) -> None:
    other = right_on(trained, tmp_path / "other", [True] * len(trained.predictions("val").paths))
    found = zoo.Run.open(other).predictions("val")
    renamed = dataclasses.replace(found, paths=tuple(f"else/{path}" for path in found.paths))
    renamed.write(other / "predictions-val.csv")
    told = typed("compare", trained.path, other)
    assert told.exit_code == 0, told.output
    assert "scored different files" in told.stdout
    assert "zoo evaluate RUN DATA" in told.stdout


def test_one_run_named_twice_is_not_two(trained: zoo.Run) -> None:
    done = typed("compare", trained.path, trained.path)
    assert isinstance(done.exception, OptionError)
    assert "at least two different runs" in done.exception.what


def test_the_report_of_a_run_is_written_again_and_its_place_printed(trained: zoo.Run, tmp_path: Path) -> None:
    folder = tmp_path / "copied"
    shutil.copytree(trained.path, folder)
    page = folder / "report.html"
    before = page.read_bytes()
    page.unlink()
    done = typed("report", folder)
    assert done.exit_code == 0, done.output
    assert Path(done.stdout.strip()) == page
    assert b"<html" in page.read_bytes()
    assert abs(len(page.read_bytes()) - len(before)) < 0.05 * len(before)
    assert json.loads(typed("report", folder, "--json").stdout) == {"report": str(page)}


def test_a_folder_that_is_no_run_has_no_report(tmp_path: Path) -> None:
    done = typed("report", tmp_path)
    assert isinstance(done.exception, RunError)


def test_a_run_is_evaluated_on_new_images_and_says_what_it_was_trained_on(trained: zoo.Run, tmp_path: Path) -> None:
    table = tmp_path / "scored.csv"
    done = typed("evaluate", trained.path, trained.path.parent / "data", "--offline", "--json", "--out", table)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    split = zoo.Run.open(trained.path).dataset()
    assert found["trained_on"] == sum(sample.split == "train" for sample in split.samples)
    assert found["scores"]["count"] == 200
    rows = table.read_text().splitlines()[1:]
    hits = sum(row.split(",")[1] == row.split(",")[2] for row in rows)
    assert found["scores"]["accuracy"] == pytest.approx(hits / 200)


def test_pictures_are_predicted_as_the_library_does(trained: zoo.Run) -> None:
    photo = trained.path.parent / "data" / "red" / "00.png"
    done = typed("predict", trained.path, photo, "--json")
    assert done.exit_code == 0, done.output
    answer = trained.predict(photo)
    assert answer.classes[answer.predicted[0]] in done.stdout
    assert str(photo) in done.stdout
