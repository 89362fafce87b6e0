"""A run read from stored features says what its model says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from tests.zoo.tiny import two_colours
from zoo.backbone import pretrained
from zoo.catalog import card
from zoo.evaluation import evaluate, predict
from zoo.features import stored
from zoo.files import write_tensors
from zoo.readout import readout
from zoo.run import Run


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("zoo.contents._COARSEST_CLOCK", 0)  # pictures made a moment ago are known again, too
    return two_colours(tmp_path / "data", count=10)


@pytest.fixture
def run(images: Path, tmp_path: Path) -> Run:
    return zoo.finetune("lenet", images, out=tmp_path / "run", offline=True, recipe="probe")


def trained(run: Run) -> Run:
    """As if all weights had been trained."""
    generator = torch.Generator().manual_seed(0)
    state = {k: v + 0.02 * torch.randn(v.shape, generator=generator) for k, v in run.module().state_dict().items()}
    write_tensors(run.weights, state)
    return run


def by_the_model(run: Run, files: list[Path]) -> np.ndarray:
    pixels = np.stack([run.preprocess.pixels(Image.open(file).convert("RGB")) for file in files])
    with torch.inference_mode():
        return run.module()(run.preprocess.normalise(torch.from_numpy(pixels))).softmax(1).numpy()


def test_a_probe_reads_the_features_that_it_was_fitted_on(run: Run, images: Path) -> None:
    read = readout(run)
    assert read is not None
    assert read.backbone.fingerprint == pretrained(card("lenet"), offline=True).fingerprint
    assert stored(zoo.read(images), read.backbone).all()
    told: list[int] = []
    found = evaluate(run, images, progress=lambda _stage, done, _total: told.append(done)).predictions
    assert not told  # no picture was looked at
    own = run.predictions("val")
    place = {path: k for k, path in enumerate(found.paths)}
    np.testing.assert_allclose(found.probabilities[[place[p] for p in own.paths]], own.probabilities, atol=1e-5)


def test_a_probe_whose_weights_were_all_trained_has_a_table_of_its_own_and_keeps_it(run: Run, images: Path) -> None:
    read = readout(trained(run))
    assert read is not None
    assert read.backbone.fingerprint != pretrained(card("lenet"), offline=True).fingerprint
    assert not stored(zoo.read(images), read.backbone).any()
    evaluate(run, images)
    assert stored(zoo.read(images), read.backbone).all()


@pytest.mark.parametrize("all_weights", [False, True])
def test_predictions_are_those_of_the_model(run: Run, images: Path, *, all_weights: bool) -> None:
    files = sorted(images.rglob("*.png"))
    found = predict(trained(run) if all_weights else run, images).predictions
    expected = by_the_model(run, files)
    assert [Path(p) for p in found.paths] == files
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-3)
    np.testing.assert_array_equal(found.predicted, expected.argmax(1))


def test_a_model_that_is_more_than_a_layer_on_features_is_run_as_a_whole(
    run: Run, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Squared(torch.nn.Module):
        def __init__(self, module: torch.nn.Module) -> None:
            super().__init__()
            self.module = module

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return self.module(batch) ** 2 / 100

    module = Squared(run.module())
    monkeypatch.setattr(run, "module", lambda: module)
    (images / "red" / "cut.png").write_bytes(b"no picture")
    assert readout(run) is None
    found = predict(run, images)
    assert [Path(s.path).name for s in found.skipped] == ["cut.png"]
    expected = by_the_model(run, [Path(p) for p in found.predictions.paths])
    np.testing.assert_allclose(found.predictions.probabilities, expected, atol=1e-5)


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    run: Run, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = predict(run, images).predictions
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file"))
    np.testing.assert_allclose(predict(run, images).predictions.probabilities, usual.probabilities, atol=1e-3)


def test_a_run_is_read_without_its_pretrained_weights(run: Run, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = predict(run, images).predictions

    def gone(*_: object, **__: object) -> None:
        raise zoo.errors.WeightsError("They have gone.", remedy="Fetch them.")

    monkeypatch.setattr("zoo.readout.weights.state_dict", gone)
    read = readout(run)
    assert read is not None
    assert read.backbone.fingerprint != pretrained(card("lenet"), offline=True).fingerprint
    np.testing.assert_allclose(predict(run, images).predictions.probabilities, usual.probabilities, atol=1e-3)
