"""zoo recommend: which model for these images, and which cannot be told apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import Result

from tests.cli.typed import typed
from tests.zoo.tiny import two_colours
from zoo import recommendation
from zoo.catalog import card
from zoo.data import read
from zoo.errors import DataError, OptionError
from zoo.features import Features

#: How far the classes are apart in the features of a model.
_APART = {"efficientnet_lite0": 0.3, "efficientnet_lite1": 6.0}


def run(*arguments: object) -> Result:
    return typed("recommend", *arguments)


@pytest.fixture
def data(caches: Path) -> Path:
    return two_colours(caches / "data", count=60)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Features are drawn, in place of the stored ones: the classes lie as far apart as this says."""
    apart = dict(_APART)

    def matrix(self: Features, name: str) -> npt.NDArray[np.float16]:
        means = self.dataset.labels[:, None] * apart[name]
        return np.random.default_rng(0).normal(means, 1, (len(means), 4)).astype(np.float16)

    monkeypatch.setattr(Features, "matrix", matrix)
    return apart


def test_the_model_whose_features_tell_the_classes_apart_is_chosen(data: Path, drawn: dict[str, float]) -> None:
    done = run(data, "--model", "efficientnet_lite0", "--model", "efficientnet_lite1", "--offline", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    best, other = found["models"]
    assert (best["name"], other["name"]) == ("efficientnet_lite1", "efficientnet_lite0")
    assert best["accuracy"] > 0.95 > other["accuracy"]
    assert not other["tied"]
    low, high = best["interval"]
    assert low <= best["accuracy"] <= high
    assert found["images"] == 120
    assert found["next"] == f"zoo finetune efficientnet_lite1 {data}"


def test_of_models_that_cannot_be_told_apart_imagenet_decides(data: Path, drawn: dict[str, float]) -> None:
    drawn["efficientnet_lite0"] = drawn["efficientnet_lite1"]
    told = run(data, "--model", "efficientnet_lite0", "--model", "efficientnet_lite1", "--offline")
    assert told.exit_code == 0, told.output
    best = max(_APART, key=lambda name: card(name).accuracy or 0)
    assert "These images cannot tell them apart" in told.stdout
    assert f"Next: zoo finetune {best} {data}" in told.stdout


def test_a_single_bundled_model_is_measured_by_its_real_features(data: Path, no_network: None) -> None:
    done = run(data, "--model", "efficientnet_lite0", "--offline", "--json")
    assert done.exit_code == 0, done.output
    (model,) = json.loads(done.stdout)["models"]
    assert model["accuracy"] > 0.95  # red from blue


def test_a_model_whose_turn_comes_too_late_is_listed_unmeasured(
    data: Path, drawn: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([(1.0, 5.0), (1.0, 500.0)])
    monkeypatch.setattr(recommendation._Work, "_time", lambda *_: next(times))
    models = ("--model", "efficientnet_lite0", "--model", "efficientnet_lite1")
    done = run(data, *models, "--budget", "60s", "--offline")
    assert done.exit_code == 0, done.output
    assert "was not measured: would take about 500 s, and 53 s are left." in done.stdout


def test_a_budget_that_is_too_short_for_all_says_how_much_is_wanted(
    data: Path, drawn: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommendation._Work, "_time", lambda *_: (1.0, 119.0))
    done = run(data, "--model", "efficientnet_lite0", "--budget", "10s", "--offline")
    assert isinstance(done.exception, OptionError)
    assert done.exception.remedy == "Give it more: --budget 4m"


def test_an_untrained_model_has_nothing_to_probe(data: Path) -> None:
    done = run(data, "--model", "lenet", "--offline")
    assert isinstance(done.exception, OptionError)
    assert "untrained" in done.exception.what


def test_images_that_are_too_few_to_tell_are_refused(caches: Path) -> None:
    done = run(two_colours(caches / "few", count=3), "--offline")
    assert isinstance(done.exception, DataError)
    assert "too few" in done.exception.what


def test_test_images_are_left_out(data: Path) -> None:
    dataset = read(data)
    marked = replace(
        dataset, samples=tuple(replace(s, split="test") if i % 2 else s for i, s in enumerate(dataset.samples))
    )
    assert len(recommendation._usable(marked)) == 60
