"""From a folder of images to a run, and on from where it stopped."""

import importlib
import os
import re
import shutil
import signal

import numpy as np
import pytest

import zoo
from tests.zoo.tiny import saved, tiny_model, two_colours
from zoo.errors import DataError, DeviceError, ModelError, OptionError, RunError, Stopped
from zoo.evaluation import evaluate, predict
from zoo.report import write_report


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Two classes that differ in colour, 20 images each; the cache is the test's own."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return two_colours(tmp_path / "data", other="<script>alert(1)</script>".replace("/", "_"))


def test_a_probe_run_has_every_file_that_the_contract_names(images, tmp_path):
    run = zoo.finetune("efficientnet_lite0", images, out=tmp_path / "run", offline=True)
    names = {path.name for path in run.path.iterdir()}
    assert {"config.yaml", "env.json", "data.json", "metrics.csv", "predictions-val.csv", "README.md"} <= names
    assert {"report.html", "weights", "state", "plots", "log.txt"} <= names
    assert run.predictions("val").scores().accuracy == 1.0


def test_class_names_are_escaped_in_the_report(images, tmp_path):
    run = zoo.finetune("efficientnet_lite0", images, out=tmp_path / "run", offline=True)
    page = (run.path / "report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_truncated_picture_is_skipped_with_its_reason_and_left_alone(images, tmp_path):
    whole = (images / "red" / "00.png").read_bytes()
    (images / "red" / "cut.png").write_bytes(whole[: len(whole) // 2])
    run = zoo.finetune("efficientnet_lite0", images, out=tmp_path / "run", offline=True)
    assert [s.path for s in run.dataset().skipped] == ["red/cut.png"]
    assert (images / "red" / "cut.png").read_bytes() == whole[: len(whole) // 2]


@pytest.mark.parametrize("recipe", ["probe", "finetune"])
def test_a_class_whose_pictures_are_all_unusable_is_left_out(recipe, images, tmp_path):
    (images / "all broken").mkdir()
    for i in range(5):
        (images / "all broken" / f"{i}.png").write_bytes(b"no picture")
    said = []
    run = zoo.finetune("lenet", images, out=tmp_path / "run", offline=True, recipe=recipe, epochs=1, say=said.append)
    assert run.classes == run.dataset().classes == run.predictions("val").classes
    assert "all broken" not in run.classes
    assert any("No picture of 'all broken' can be used" in line for line in said)
    assert zoo.Run.open(run.path).classes == run.classes
    assert len(run.predict(images / "red").classes) == 2


def test_a_class_without_a_usable_training_picture_is_left_out(images, tmp_path):
    for split, count in (("train", 15), ("val", 5)):
        for name in ("red", "green"):
            (tmp_path / "split" / split / name).mkdir(parents=True)
            for i, path in enumerate(sorted((images / "red").iterdir())[:count]):
                (tmp_path / "split" / split / name / path.name).write_bytes(path.read_bytes() + bytes([i]))
        (tmp_path / "split" / split / "gone").mkdir()
        for i, path in enumerate(min(images.iterdir()).iterdir()):
            data = b"no picture" if split == "train" else path.read_bytes()
            (tmp_path / "split" / split / "gone" / f"{i}.png").write_bytes(data)
    run = zoo.finetune("efficientnet_lite0", tmp_path / "split", out=tmp_path / "run", offline=True)
    assert run.classes == ("green", "red")
    assert {path.split("/")[1] for path in run.predictions("val").paths} == {"green", "red"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes in the file system are POSIX")
def test_a_picture_that_became_a_pipe_hangs_nothing(images, tmp_path):
    run = zoo.finetune("lenet", images, out=tmp_path / "run", offline=True, epochs=1)
    for path in (images / "red").iterdir():
        path.unlink()
        os.mkfifo(path)
    found = predict(run, [images])
    assert len(found.predictions.paths) == 20
    assert {s.reason for s in found.skipped} == {"a pipe, not a file"}
    write_report(run)
    with pytest.raises(DataError):
        zoo.resume(run.path, offline=True, epochs=2)


def test_what_is_to_be_classified_may_be_a_picture_a_folder_or_a_list(images, tmp_path):
    run = zoo.finetune("efficientnet_lite0", images, out=tmp_path / "run", offline=True)
    (images / "list.txt").write_text("red/00.png\ngone.png\n")
    found = predict(run, [images / "red" / "01.png", images / "list.txt", images / "red"])
    assert found.predictions.paths[:2] == (str(images / "red" / "01.png"), str(images / "red" / "00.png"))
    assert len(found.predictions.paths) == 22
    assert {s.path: s.reason for s in found.skipped} == {str(images / "gone.png"): "there is no such file"}
    with pytest.raises(DataError, match="no folder or file"):
        run.predict(images / "nothing")
    with pytest.raises(DataError, match="no picture to classify"):
        run.predict([])


def test_a_run_is_rebuilt_from_its_folder_alone(images, tmp_path, monkeypatch, no_network):
    """The local weights that it started from are gone, and so is every cache."""
    source = tmp_path / "pretrained"
    source.mkdir()
    for name, content in saved(tiny_model()).items():
        (source / name).write_bytes(content)
    run = zoo.finetune(str(source), images, out=tmp_path / "run", offline=True)
    expected = run.predict(images).probabilities
    shutil.rmtree(source)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "empty"))
    moved = run.path.rename(tmp_path / "moved")
    assert (zoo.Run.open(moved).predict(images).probabilities == expected).all()
    assert zoo.Run.open(moved).config.architecture == "test_resnet"


def test_predicting_with_the_run_agrees_with_its_stored_predictions(images, tmp_path):
    run = zoo.finetune("efficientnet_lite0", images, out=tmp_path / "run", offline=True)
    stored = run.predictions("val")
    fresh = run.predict([images / path for path in stored.paths])
    assert (fresh.predicted == stored.predicted).all()
    assert np.abs(fresh.probabilities - stored.probabilities).max() < 0.05


@pytest.mark.parametrize("recipe", ["probe", "finetune"])
def test_the_same_seed_gives_the_same_bytes(recipe, images, tmp_path):
    first, second = (
        zoo.finetune("lenet", images, out=tmp_path / name / "run", offline=True, recipe=recipe, epochs=2, seed=3).path
        for name in ("first", "second")
    )
    for file in ("predictions-val.csv", "weights/best.safetensors", "weights/last.safetensors", "report.html",
                 "plots/confusion.png", "config.yaml", "data.json", "README.md"):  # fmt: skip
        assert (first / file).read_bytes() == (second / file).read_bytes(), file


def test_an_interrupted_training_goes_on_to_the_undisturbed_result(images, tmp_path):
    whole = zoo.finetune("lenet", images, out=tmp_path / "whole", offline=True, epochs=4)

    def stop(stage, done, total):
        if stage == "train" and done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stopped, match=f"zoo resume {tmp_path / 'parts'}"):
        zoo.finetune("lenet", images, out=tmp_path / "parts", offline=True, epochs=4, progress=stop)
    resumed = zoo.resume(tmp_path / "parts", offline=True)
    assert (resumed.path / "predictions-val.csv").read_bytes() == (whole.path / "predictions-val.csv").read_bytes()


def test_a_run_is_stopped_while_it_looks_at_the_images_and_goes_on(images, tmp_path):
    def stop(stage, done, total):
        raise KeyboardInterrupt

    with pytest.raises(Stopped, match=f"zoo resume {tmp_path / 'run'}"):
        zoo.finetune("efficientnet_lite0", images, out=tmp_path / "run", offline=True, progress=stop)
    with pytest.raises(Stopped, match=f"zoo resume {tmp_path / 'run'}"):
        zoo.resume(tmp_path / "run", offline=True, progress=stop)
    assert zoo.resume(tmp_path / "run", offline=True).finished


@pytest.mark.parametrize("out", [None, "run"])
def test_a_run_that_cannot_begin_leaves_no_folder(out, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = zoo.finetune("lenet", images, offline=True, epochs=1)
    for path in images.rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match="No image"):
        zoo.finetune("lenet", images, out=out, offline=True, epochs=1)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["latest", good.path.name]
    assert (tmp_path / "runs" / "latest").resolve() == good.path
    assert not (tmp_path / "run").exists()


def test_the_first_run_that_cannot_begin_leaves_nothing(images, tmp_path, monkeypatch, no_network):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="offline"):
        zoo.finetune("resnet18", images, offline=True)
    with pytest.raises(DeviceError):
        zoo.finetune("lenet", images, offline=True, device="cuda:99")
    assert not (tmp_path / "runs").exists()


def test_a_run_that_has_trained_stays_whatever_happens_to_it(images, tmp_path):
    def fail(stage, done, total):
        if stage == "train" and done == 3:
            raise DataError("The images are gone.", remedy="Bring them back.")

    with pytest.raises(DataError, match="gone"):
        zoo.finetune("lenet", images, out=tmp_path / "run", offline=True, epochs=4, progress=fail)
    assert zoo.resume(tmp_path / "run", offline=True).finished


def test_more_epochs_go_on_from_a_finished_run(images, tmp_path):
    zoo.finetune("lenet", images, out=tmp_path / "run", offline=True, epochs=2)
    run = zoo.resume(tmp_path / "run", epochs=3, offline=True)
    assert run.config.settings.epochs == 3
    assert run.finished


def test_a_new_labelled_folder_can_be_evaluated(images, tmp_path):
    run = zoo.finetune("efficientnet_lite0", images, out=tmp_path / "run", offline=True)
    found = evaluate(run, images, offline=True)
    assert found.predictions.scores().count == 40
    assert found.trained_on == sum(sample.split == "train" for sample in run.dataset().samples) > 0
    shutil.copytree(images, tmp_path / "new")
    assert evaluate(run, tmp_path / "new", offline=True).trained_on == 0
    (run.path / "data.json").write_text("{")
    assert evaluate(run, images, offline=True).trained_on == 0


def test_a_folder_that_is_not_empty_is_refused(images, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(OptionError, match="not empty"):
        zoo.finetune("efficientnet_lite0", images, out=tmp_path / "full", offline=True)
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("recipe", ["probe", "finetune"])
def test_offline_reaches_every_place_that_loads_weights(recipe, images, tmp_path, monkeypatch):
    asked = []

    def note(function):
        def noting(*arguments, offline=False, **options):
            asked.append(offline)
            return function(*arguments, offline=offline, **options)

        return noting

    module = importlib.import_module(f"zoo.recipes.{recipe}")
    name = {"probe": "with_head", "finetune": "load"}[recipe]
    monkeypatch.setattr(module, name, note(getattr(module, name)))
    zoo.finetune("lenet", images, out=tmp_path / "run", offline=True, recipe=recipe, epochs=1)
    assert asked
    assert all(asked)


def test_runs_are_numbered(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [zoo.finetune("efficientnet_lite0", images, offline=True).path.name for _ in range(2)]
    assert names == ["efficientnet_lite0-data-001", "efficientnet_lite0-data-002"]
    assert (tmp_path / "runs" / "latest").resolve().name == names[1]


@pytest.mark.parametrize("setting", [{"epochs": -1}, {"epochz": 1}, {"learning_rate": "fast"}, {"val_fraction": 2}])
def test_a_wrong_setting_is_refused(images, setting):
    with pytest.raises(OptionError):
        zoo.finetune("lenet", images, **setting)


def test_a_damaged_or_newer_run_folder_is_told_apart(images, tmp_path):
    run = zoo.finetune("efficientnet_lite0", images, out=tmp_path / "run", offline=True)
    text = (run.path / "config.yaml").read_text()
    (run.path / "config.yaml").write_text(text.replace("schema: 1", "schema: 99"))
    with pytest.raises(RunError, match="newer"):
        zoo.Run.open(run.path)
    (run.path / "config.yaml").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        zoo.Run.open(run.path)


def test_a_run_folder_of_an_older_version_is_read(images, tmp_path):
    run = zoo.finetune("lenet", images, out=tmp_path / "run", offline=True, recipe="probe")
    expected = run.predict(images).probabilities
    text = re.sub(r"(?m)^(architecture|arguments): .*\n", "", (run.path / "config.yaml").read_text())
    (run.path / "config.yaml").write_text(text)
    older = zoo.Run.open(run.path)
    assert older.config.architecture == "lenet5"
    assert (older.predict(images).probabilities == expected).all()
    (run.path / "config.yaml").write_text(text.replace("model: lenet5", "model: gone"))
    with pytest.raises(RunError, match=r"older zoovet.*'gone'"):
        zoo.Run.open(run.path)


def test_one_class_is_an_error_that_says_what_to_do(images):
    for path in (images / "red").iterdir():
        path.unlink()
    with pytest.raises(DataError):
        zoo.finetune("efficientnet_lite0", images, offline=True)
