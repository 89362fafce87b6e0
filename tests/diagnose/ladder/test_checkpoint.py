"""A checkpoint is looked at with the person's own pictures; each fault is planted in sound weights."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from diagnose.checkpoint_audit import _Bench
from diagnose.findings import Outcome
from diagnose.ladder.checkpoint import checkpoint_rung
from diagnose.loading import load
from diagnose.predictions import OwnPredictions
from diagnose.submission import Checkpoint
from tests.diagnose.ladder.conftest import images
from zoo.errors import OptionError, WeightsError

MODEL = "test_resnet.r160_in1k"


@pytest.fixture(scope="session")
def weights(colours) -> dict[str, torch.Tensor]:
    """A network that was trained on the pictures at 32 pixels, scaled to [-1, 1]."""
    torch.manual_seed(0)
    model = timm.create_model(MODEL, num_classes=3)
    batch, labels = images(colours, "train")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        rows = torch.randperm(len(batch))[:32]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(batch[rows]), labels[rows]).backward()
        optimizer.step()
    model.train()
    with torch.no_grad():
        for _ in range(30):
            model(batch)
    return model.state_dict()


@pytest.fixture
def look(colours, tmp_path):
    """The rung for weights, with what the person says of them."""

    def run(tensors, context=colours, known_good=None, **said):
        path = tmp_path / "w.safetensors"
        save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, path)
        how = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "size": 32, **said}
        checkpoint = Checkpoint(path=path, model=MODEL, **how)
        return checkpoint_rung(context, checkpoint, load(checkpoint), budget=None, device="cpu", known_good=known_good)

    return run


def failed(rung) -> set[str]:
    return {finding.cause for finding in rung.findings if finding.outcome is Outcome.FAIL}


def test_sound_weights_are_sound(look, weights):
    rung = look(weights)

    assert failed(rung) == set()
    assert rung.yours.value > 0.95
    assert abs(rung.gap.value) < 0.05


def test_a_reference_stronger_than_the_probe_is_what_a_checkpoint_is_held_against(look, weights, colours):
    said = np.full(len(colours.dataset), -1)
    asked = colours.held_out[::2]
    said[asked] = (colours.labels[asked] + 1) % 3  # wrong on every picture that it was asked about
    rung = look(weights, known_good=said)

    assert rung.gap.value < -0.9
    assert rung.yours.value > 0.95


def test_another_scale_of_the_pixels_is_named_with_what_it_costs(look, weights):
    rung = look(weights, mean=(0.0,) * 3, std=(1 / 255,) * 3)
    (found,) = [f for f in rung.findings if f.cause == "normalisation"]

    assert found.outcome is Outcome.FAIL
    assert found.points.value > 0.2
    assert "0.5, 0.5, 0.5" in found.remedy


def test_weights_of_blue_first_pictures_are_named(look, weights):
    name = next(name for name, tensor in weights.items() if tensor.ndim == 4)
    flipped = {**weights, name: weights[name].flip(1)}

    assert "channel-order" in failed(look(flipped))


def test_stale_batch_norm_statistics_are_named(look, weights):
    stale = {
        n: torch.full_like(t, 3.0) if n.endswith("running_mean") else torch.ones_like(t) if "running_var" in n else t
        for n, t in weights.items()
    }
    rung = look(stale)

    assert "batchnorm-statistics" in failed(rung)


def test_features_that_know_nothing_are_weights_that_were_never_loaded(look, weights):
    torch.manual_seed(1)
    noise = {n: torch.randn_like(t) * 1e-8 if t.ndim > 1 else t for n, t in weights.items()}

    assert "checkpoint-loading" in failed(look(noise))


def test_a_prefix_is_taken_off_and_remarked(look, weights):
    rung = look({f"model.{name}": tensor for name, tensor in weights.items()})
    (found,) = [f for f in rung.findings if f.cause == "checkpoint-loading"]

    assert found.outcome is Outcome.REVIEW
    assert "'model.'" in found.remedy
    assert rung.yours.value > 0.95


def test_weights_of_another_architecture_fill_nothing(look):
    other = timm.create_model("test_vit.r160_in1k", num_classes=3).state_dict()

    assert "checkpoint-loading" in failed(look(other))


def test_a_head_of_other_classes_is_named_and_the_rest_is_not_tested(look, weights):
    head = {n: torch.zeros(7, *t.shape[1:]) if n.startswith("fc.") else t for n, t in weights.items()}
    rung = look(head)

    assert "output-size" in failed(rung)
    assert rung.yours is None
    assert "normalisation" in {entry.name for entry in rung.not_tested}


def test_outputs_in_another_order_are_named(look, weights):
    turned = {n: t.roll(1, 0) if n.startswith("fc.") else t for n, t in weights.items()}

    assert "label-map" in failed(look(turned))


def test_a_head_behind_dropout_is_found_by_its_shape(look, weights):
    renamed = {n.replace("fc.", "fc.1."): t for n, t in weights.items()}

    assert look(renamed).yours.value > 0.95


def changed(context, **fields):
    """Another context of the same pictures; no two of them are copies."""
    other = replace(context, _kept={}, **fields)
    vars(other)["duplicates"] = np.arange(len(other.dataset))
    return other


@pytest.fixture
def unsplit(colours):
    """The same pictures as one folder: nobody says which the checkpoint was trained on."""
    return changed(colours, dataset=replace(colours.dataset, given_splits=False))


def test_where_no_splits_were_given_a_good_score_says_nothing(look, weights, unsplit):
    rung = look(weights, context=unsplit)
    (control,) = rung.controls

    assert rung.yours is None
    assert rung.gap is None
    assert control.accuracy.value > 0.95
    assert "may have been trained on" in control.detail
    assert "--predictions" in next(entry.needs for entry in rung.not_tested if entry.name == "accuracy")


def test_where_no_splits_were_given_a_bad_score_is_bad_all_the_same(look, weights, unsplit):
    rung = look(weights, context=unsplit, mean=(0.0,) * 3, std=(1 / 255,) * 3)

    assert rung.gap.interval[0] > 0
    assert "normalisation" in failed(rung)


@pytest.fixture
def asked(monkeypatch):
    """How many pictures the checkpoint's model was shown."""
    shown = []
    run = _Bench.run
    monkeypatch.setattr(_Bench, "run", lambda self, images, *a: (shown.append(len(images)), run(self, images, *a))[1])
    return shown


def own_run(colours, weights):
    """The context with the predictions that these very weights left."""
    predicted = np.full(len(colours.dataset), -1, dtype=np.int64)
    model = timm.create_model(MODEL, num_classes=3)
    model.load_state_dict(weights)
    rows = [i for i, sample in enumerate(colours.dataset.samples) if sample.split == "val"]
    predicted[rows] = model.eval()(images(colours, "val")[0]).argmax(1).numpy()
    return changed(colours, predictions=OwnPredictions(predicted=predicted))


def test_a_run_of_ours_is_asked_for_one_batch_and_otherwise_believed(look, weights, colours, asked):
    rung = look(weights, context=own_run(colours, weights), as_trained=True)

    assert sum(asked) <= 32 + 40
    assert failed(rung) == set()
    assert rung.yours.value > 0.95


def test_predictions_that_the_weights_no_longer_give_are_not_believed(look, weights, colours, asked):
    turned = {n: t.roll(1, 0) if n.startswith("fc.") else t for n, t in weights.items()}
    rung = look(turned, context=own_run(colours, weights), as_trained=True)

    assert sum(asked) >= 32 + 90
    assert rung.yours.value < 0.1


class Evil:
    def __reduce__(self):
        return (print, ("never",))


def test_a_file_that_carries_code_is_refused_and_not_run(colours, tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps({"weight": Evil()}))

    with pytest.raises(WeightsError, match="damaged, or not a weights file"):
        load(Checkpoint(path=path, model=MODEL))


def test_a_checkpoint_without_its_architecture_is_a_usage_error(tmp_path):
    path = tmp_path / "w.pth"
    path.touch()

    with pytest.raises(OptionError, match="needs --model"):
        Checkpoint(path=path, model="")
