"""A run folder of ours fills the rungs at once."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import zoo
from diagnose.diagnosis import diagnose_fully
from diagnose.findings import Conclusion
from diagnose.own_run import open_run
from diagnose.predictions import read_all_predictions
from diagnose.submission import Submission
from zoo.errors import DataError, RunError


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small network trained on two classes that differ in colour, 40 images each."""
    folder = tmp_path_factory.mktemp("own-run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(folder / "cache"))
        rng = np.random.default_rng(0)
        for name, colour in (("red", (200, 60, 60)), ("blue", (60, 60, 200))):
            (folder / "data" / name).mkdir(parents=True)
            for _ in range(40):
                pixels = np.clip(np.array(colour) + rng.integers(-60, 60, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / "data" / name / f"{rng.integers(1 << 40):x}.png")
        yield zoo.finetune("lenet", folder / "data", out=folder / "run", offline=True, epochs=3).path


def test_the_data_its_splits_and_the_predictions_are_the_runs(finished):
    own = open_run(finished)
    assert own.dataset.given_splits
    assert len(own.dataset) == 80
    assert [file.name for file in own.predictions] == ["predictions-val.csv"]
    told = read_all_predictions(own.predictions, own.dataset)
    assert set(told.known.tolist()) == set(own.dataset.indices("val").tolist())
    assert own.submission.log == finished / "metrics.csv"
    assert own.submission.checkpoint.model == "lenet5"


def test_what_the_person_names_comes_before_what_the_run_has(finished, tmp_path):
    log = tmp_path / "mine.csv"
    log.write_text("epoch,train_loss\n1,0.5\n")
    own = open_run(finished)
    assert own.completing(Submission(log=log)).log == log
    assert own.completing(Submission()).log == own.submission.log


def test_a_run_is_diagnosed_without_naming_anything_else(finished):
    diagnosis = diagnose_fully(finished, offline=True, device="cpu")
    verdict = diagnosis.verdict
    assert not verdict.failures
    assert verdict.yours is not None
    assert verdict.conclusion in (Conclusion.NOTHING, Conclusion.ALGORITHM), verdict.summary
    untested = {entry.needs for entry in verdict.not_tested}
    assert not untested & {"--predictions", "--log", "--checkpoint"}


def test_the_latest_explanation_in_the_run_is_read(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "run")
    for number in (2, 10):
        (copy / f"explain-{number}").mkdir()
        (copy / f"explain-{number}" / "shortcuts.json").write_text("{}")
    assert open_run(copy).submission.shortcuts == copy / "explain-10" / "shortcuts.json"


def test_a_folder_of_images_is_no_run(tmp_path):
    assert open_run(tmp_path) is None


def test_a_run_whose_images_are_gone_says_where_they_were(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "run")
    plain = json.loads((copy / "data.json").read_text())
    plain["root"] = str(tmp_path / "elsewhere")
    (copy / "data.json").write_text(json.dumps(plain))
    with pytest.raises(DataError, match=r"no longer in .*elsewhere"):
        open_run(copy)


def test_a_damaged_run_is_refused(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "run")
    (copy / "data.json").write_text("{")
    with pytest.raises(RunError):
        open_run(copy)
