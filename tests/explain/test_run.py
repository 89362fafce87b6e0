"""``zoo explain`` on a run folder."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from explain import Deletion, ExplainSettings, explain
from explain.classifier import classifier_of
from zoo.catalog import card
from zoo.classifier import embed
from zoo.data.dataset import Dataset, Sample
from zoo.evaluation import predict
from zoo.files import write_tensors
from zoo.run import Run
from zoo.run_config import RunConfig
from zoo.settings import Settings
from zoo.weights import build

QUICK = ExplainSettings(most=4, calibration=3, deletion=Deletion(patches=4, steps=3), references=8, related=2)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of LeNet-5 that was never trained: its folder is what matters."""
    rng = np.random.default_rng(0)
    samples = []
    for k in range(16):
        label, split = k % 2, "test" if k < 6 else "train"
        path = f"{'ab'[label]}/{k:02d}.png"
        (tmp_path / "data" / "ab"[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(tmp_path / "data" / path)
        samples.append(Sample(path=path, label=label, split=split))
    dataset = Dataset(root=tmp_path / "data", samples=tuple(samples), classes=("a", "b"))
    facts = card("lenet5")
    config = RunConfig(
        model=facts.name, architecture=facts.architecture, data=str(dataset.root), settings=Settings(),
        classes=("a", "b"), preprocess=facts.preprocess, version="0.1.0",
    )  # fmt: skip
    made = Run.create(config, dataset, out=tmp_path / "run")
    write_tensors(made.weights, build(facts, num_classes=2).state_dict())
    return made


@pytest.fixture
def looked_at(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The run, after its training images were looked at."""
    monkeypatch.setattr("zoo.contents._COARSEST_CLOCK", 0)  # pictures made a moment ago are known again, too
    predict(run, run.dataset().root)
    return run


def test_neighbours_are_sought_among_all_training_images_whose_features_are_stored(looked_at: Run) -> None:
    settings = dataclasses.replace(QUICK, references=3, related=10)
    read: list[str] = []
    found = explain(looked_at, method="hirescam", settings=settings, progress=lambda stage, *_: read.append(stage))
    assert {len(e.neighbours) for e in found} == {10}
    assert "reading images" not in read  # nothing was embedded


def test_where_nothing_is_stored_as_many_training_images_as_asked_for_are_looked_at(run: Run) -> None:
    found = explain(run, method="hirescam", settings=dataclasses.replace(QUICK, references=3, related=10))
    assert {len(e.neighbours) for e in found} == {3}


def test_similarities_from_the_store_are_those_of_the_model(looked_at: Run) -> None:
    settings = dataclasses.replace(QUICK, related=10)
    found = explain(looked_at, method="hirescam", settings=settings)
    module = looked_at.module()
    training = {r.name: r for r in found[0].neighbours}
    root, preprocess = looked_at.dataset().root, looked_at.preprocess

    def inputs(pixels: np.ndarray) -> torch.Tensor:
        return preprocess.normalise(torch.from_numpy(pixels.copy())[None])

    with torch.no_grad():
        mine = embed(module, inputs(found[0].picture.pixels))
        for name, neighbour in training.items():
            theirs = embed(module, inputs(preprocess.pixels(Image.open(root / name).convert("RGB"))))
            expected = float(torch.nn.functional.cosine_similarity(mine, theirs))
            assert neighbour.value == pytest.approx(expected, abs=1e-3)


def test_a_runs_held_out_images_are_explained_with_training_images_behind_them(run: Run) -> None:
    found = explain(run, method="hirescam", settings=QUICK)
    assert len(found) == 4
    assert all(e.picture.label is not None for e in found)
    held = {s.path for s in run.dataset().samples if s.split == "test"}
    assert {e.picture.name for e in found} <= held
    for item in found:
        assert len(item.neighbours) == 2
        assert not {r.name for r in (*item.neighbours, *item.influential)} & held
        assert item.neighbours[0].value >= item.neighbours[1].value


def test_a_run_whose_training_images_are_gone_is_explained_without_them(run: Run) -> None:
    for sample in run.dataset().samples:
        if sample.split == "train":
            (run.dataset().root / sample.path).unlink()
    found = explain(run.path, method="hirescam", settings=QUICK)
    assert all(e.neighbours == () for e in found)


def test_one_picture_is_judged_beside_held_out_images_of_its_run(run: Run) -> None:
    dataset = run.dataset()
    photo = dataset.file(dataset.samples[0])
    alone = explain(classifier_of(run), photo, method="hirescam", settings=QUICK)
    beside = explain(run, photo, method="hirescam", settings=QUICK)
    assert [len(alone), alone.choice.images] == [1, 2]
    assert [len(beside), beside.choice.images] == [1, 3]


def test_one_picture_is_judged_by_itself_where_the_runs_images_are_gone(run: Run, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(np.zeros((40, 40, 3), dtype=np.uint8)).save(photo)
    for sample in run.dataset().samples:
        (run.dataset().root / sample.path).unlink()
    assert explain(run, photo, method="hirescam", settings=QUICK).choice.images == 2


def test_the_command_writes_its_folder_and_prints_json_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    from cli.commands.explain import command

    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [str(run.path), "--n", "2", "--method", "hirescam", "--json"])
    assert result.exit_code == 0, result.output
    plain = json.loads(result.stdout)
    assert plain["schema"] == "zoovet.explain/1"
    assert len(plain["images"]) == 2
    assert (run.path / "explain-1" / "report.html").exists()
    again = CliRunner().invoke(app, [str(run.path), "--n", "2", "--method", "hirescam"])
    assert again.exit_code == 0, again.output
    assert (run.path / "explain-2" / "manifest.json").exists()


def test_an_explanation_that_is_stopped_leaves_no_folder(run: Run) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explain(run, method="hirescam", out=run.path / "explain-9", settings=QUICK, progress=stop)
    assert not (run.path / "explain-9").exists()
