"""zoo list and zoo info, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.typed import typed
from tests.zoo.tiny import saved, tiny_model
from zoo.errors import OptionError, UnknownModelError, ZooError


def _list(*arguments: str) -> list[dict[str, object]]:
    done = typed("list", *arguments, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


def test_everything_is_listed(caches: Path) -> None:
    found = _list()
    assert len(found) > 1500
    assert {"bundled", "timm", "torchvision", "zoo"} == {model["source"] for model in found}


def test_the_table_is_made_of_tabs_where_nobody_looks_at_it(caches: Path) -> None:
    done = typed("list", "resnet18.a1_in1k")
    header, row = done.stdout.splitlines()
    assert header.split("\t") == ["name", "parameters", "input", "top-1", "licence", "here"]
    assert row.split("\t") == ["resnet18.a1_in1k", "11.7M", "224x224", "73.2%", "apache-2.0", ""]
    assert "1 models" in done.stderr


def test_what_is_not_known_is_said_to_be_unknown(caches: Path) -> None:
    assert typed("list", "torchvision/alexnet").stdout.splitlines()[1].split("\t")[4] == "unknown"
    assert typed("list", "resnet18.a2_in1k").stdout.splitlines()[1].split("\t")[3] == "?"


def test_an_alias_is_listed_as_what_it_stands_for(caches: Path) -> None:
    done = typed("list", "resnet")
    assert "resnet -> resnet50.a1_in1k" in done.stderr
    assert "resnet50.a1_in1k" in done.stdout


def test_bundled_models_have_their_weights_in_a_package(caches: Path) -> None:
    names = {model["name"] for model in _list("--bundled")}
    assert names == {"efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"}


def test_cached_models_need_no_network(caches: Path) -> None:
    assert {model["source"] for model in _list("--cached")} == {"bundled", "zoo"}


@pytest.mark.parametrize(("limit", "most"), [("3M", 3e6), ("0.5m", 5e5), ("2000000", 2e6), ("0.001B", 1e6)])
def test_large_models_are_left_out(caches: Path, limit: str, most: float) -> None:
    sizes = [model["parameters"] for model in _list("--max-params", limit)]
    assert sizes
    assert max(sizes) <= most  # type: ignore[type-var]


@pytest.mark.parametrize("limit", ["", "x", "-3M", "3MM", "1e6"])
def test_a_size_that_is_no_number_is_wrong_usage(caches: Path, limit: str) -> None:
    error = typed("list", "--max-params", limit).exception
    assert isinstance(error, OptionError)
    assert repr(limit) in error.what


def test_licences_are_chosen_by_a_pattern(caches: Path) -> None:
    assert {model["license"] for model in _list("resnet*", "--license", "CC-BY*")} == {"cc-by-nc-4.0"}
    assert {model["license"] for model in _list("torchvision/*", "--license", "unknown")} == {None}


def test_models_are_sorted_with_the_unknown_last(caches: Path) -> None:
    sizes = [model["parameters"] for model in _list("resnet*", "--sort", "params")]
    assert sizes == sorted(sizes)  # type: ignore[type-var]
    scores = [model["accuracy"] for model in _list("resnet*", "--sort", "accuracy")]
    known = [score for score in scores if score is not None]
    assert known == sorted(known, reverse=True)
    assert scores[: len(known)] == known
    assert len(known) < len(scores)


def test_no_match_is_said(caches: Path) -> None:
    assert "No model matches" in typed("list", "nothing*").stderr


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("efficientnet_lite0", ["4,652,008", "224 x 224", "apache-2.0", "75.1%", "on this disk", "zoo finetune"]),
        ("lenet", ["lenet -> lenet5", "60,850", "1 channel", "starts untrained"]),
        ("resnet", ["resnet -> resnet50.a1_in1k", "25,557,032", "81.2%", "not on this disk", "hf-hub:timm/resnet50"]),
        ("torchvision/alexnet", ["not stated", "56.5%", "download.pytorch.org"]),
        ("vit_small_patch14_dinov2", ["ends in features", "not known"]),
    ],
)
def test_the_facts_on_a_model_are_shown(caches: Path, no_network: None, name: str, expected: list[str]) -> None:
    done = typed("info", name)
    assert done.exit_code == 0
    for words in expected:
        assert words in done.output


def test_the_facts_on_a_file_are_shown(caches: Path, tmp_path: Path) -> None:
    for name, content in saved(tiny_model()).items():
        (tmp_path / name).write_bytes(content)
    done = json.loads(typed("info", str(tmp_path), "--json").stdout)
    assert done["source"] == "local"
    assert done["parameters"] == sum(parameter.numel() for parameter in tiny_model().parameters())
    assert done["file"] == str(tmp_path / "model.safetensors")


def test_an_unknown_model_is_an_error_with_the_nearest_name(caches: Path) -> None:
    error = typed("info", "resnt").exception
    assert isinstance(error, UnknownModelError)
    assert "'resnet'" in error.remedy


def test_offline_a_model_of_the_hub_is_an_error(caches: Path, no_network: None) -> None:
    error = typed("info", "hf-hub:someone/tiny", "--offline").exception
    assert isinstance(error, ZooError)
    assert "offline" in error.what
