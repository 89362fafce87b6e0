"""zoo doctor: what it sees of a machine, and what it says of what stands in the way."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import psutil
import pytest
from typer.testing import Result

from tests.cli.typed import typed
from tests.zoo.conftest import use_endpoint
from tests.zoo.hub_server import HubServer
from tests.zoo.tiny import two_colours
from zoo import features
from zoo import machine as machines
from zoo.catalog import card
from zoo.data import read
from zoo.errors import OptionError


def run(*arguments: str) -> Result:
    return typed("doctor", *arguments)


def problems(*arguments: str) -> list[str]:
    done = run("--json", *arguments)
    assert done.exit_code == 0, done.output
    return [f"{problem['what']} {problem['remedy']}" for problem in json.loads(done.stdout)["problems"]]


def test_the_machine_is_described_as_the_system_describes_it(caches: Path, no_network: None) -> None:
    found = json.loads(run("--offline", "--json").stdout)
    assert found["machine"]["memory"] == psutil.virtual_memory().total
    assert found["machine"]["versions"]["torch"] == metadata.version("torch")
    assert found["machine"]["devices"][0]["name"] == "cpu"
    assert "efficientnet_lite0" in found["models"]
    assert next(one["folder"] for one in found["caches"]) == str(caches / "zoo")


def test_offline_the_hub_is_not_asked(caches: Path, no_network: None) -> None:
    told = run("--offline").stdout
    assert "not asked: offline work was asked for" in told


def test_a_hub_that_answers_is_no_problem(hub_server: HubServer) -> None:
    assert not any("hub cannot be reached" in problem for problem in problems())


def test_a_hub_that_is_not_there_names_a_model_that_is(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_endpoint(monkeypatch, "http://127.0.0.1:9")
    (found,) = [problem for problem in problems() if "hub cannot be reached" in problem]
    assert "zoo finetune efficientnet_lite0 DATA --offline" in found


def test_an_engine_that_does_not_exist_is_told_with_its_mending(
    caches: Path, no_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_ENGINE", "warp")
    (found,) = [problem for problem in problems("--offline") if "ZOO_ENGINE" in problem]
    assert found.endswith("unset ZOO_ENGINE")


def test_too_little_memory_is_told(caches: Path, no_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    real = psutil.virtual_memory()
    monkeypatch.setattr(machines.psutil, "virtual_memory", lambda: real._replace(available=300_000_000))
    monkeypatch.setattr(machines, "_shared_memory", lambda: 64 * 2**20)
    found = problems("--offline")
    assert any("Only 300 MB of memory are free" in problem for problem in found)
    assert any("Shared memory is 64 MiB" in problem and "--shm-size" in problem for problem in found)


def test_pruning_frees_what_was_stored_and_says_how_much(caches: Path, no_network: None) -> None:
    data = read(two_colours(caches / "data"))
    features.embed(data, [card("efficientnet_lite0")], device="cpu", offline=True)
    stored = json.loads(run("--offline", "--json").stdout)["caches"][0]["size"]
    assert stored > 40 * 1280 * 2  # half precision
    kept = json.loads(run("--prune", "1G", "--json").stdout)["removed"]
    assert kept == []
    removed = json.loads(run("--prune", "0", "--json").stdout)["removed"]
    assert sum(table["size"] for table in removed) >= 40 * 1280 * 2
    assert "it fits already" in run("--prune", "0").stdout


@pytest.mark.parametrize(("arguments", "word"), [(("5G",), "--prune"), (("--prune", "much"), "500M")])
def test_a_size_that_means_nothing_is_an_error(caches: Path, arguments: tuple[str, ...], word: str) -> None:
    done = run(*arguments)
    assert isinstance(done.exception, OptionError)
    assert word in done.exception.what + done.exception.remedy
