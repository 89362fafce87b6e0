"""Weights from a hub: the real code of timm and huggingface_hub against a server on loopback."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.zoo.conftest import use_endpoint
from tests.zoo.hub_server import HubServer
from tests.zoo.tiny import images, saved, tiny_model
from zoo import hub
from zoo.catalog import card
from zoo.errors import HubError, ModelError, WeightsError
from zoo.weights import fingerprint, load

REPOSITORY = "someone/tiny"
NAME = f"hf-hub:{REPOSITORY}"


@pytest.fixture
def tiny(hub_server: HubServer) -> HubServer:
    """A hub that holds a tiny timm model of seven classes."""
    hub_server.files = {f"{REPOSITORY}/{name}": content for name, content in saved(tiny_model()).items()}
    return hub_server


def test_a_model_from_the_hub_gives_the_outputs_of_the_model_that_was_saved(tiny: HubServer) -> None:
    module = load(card(NAME))
    torch.testing.assert_close(module(images()), tiny_model()(images()))


def test_the_card_tells_what_the_repository_says_of_its_model(tiny: HubServer) -> None:
    found = card(NAME)
    assert (found.source, found.architecture, found.num_classes, found.license) == ("hub", "test_resnet", 7, "mit")
    assert found.preprocess.size == (160, 160)
    assert not found.cached
    load(found)
    assert card(NAME).cached


def test_a_timm_name_is_fetched_from_its_repository(hub_server: HubServer) -> None:
    original = tiny_model(num_classes=1000)
    hub_server.files["timm/test_resnet.r160_in1k/model.safetensors"] = saved(original)["model.safetensors"]
    module = load(card("test_resnet"))
    torch.testing.assert_close(module(images()), original(images()))


def test_only_the_files_of_the_model_are_asked_for(tiny: HubServer) -> None:
    load(card(NAME))
    assert {request.split()[1].rpartition("/")[0] for request in tiny.requests} == {f"/{REPOSITORY}/resolve/main"}


def test_a_cache_from_an_earlier_run_is_used_without_a_request(tiny: HubServer) -> None:
    expected = load(card(NAME))(images())
    tiny.requests.clear()
    torch.testing.assert_close(load(card(NAME))(images()), expected)
    assert tiny.requests == []


def test_a_cache_from_an_earlier_run_works_offline(tiny: HubServer, request: pytest.FixtureRequest) -> None:
    expected = load(card(NAME))(images())
    request.getfixturevalue("no_network")
    found = card(NAME, offline=True)
    torch.testing.assert_close(load(found, offline=True)(images()), expected)
    assert len(fingerprint(found, offline=True)) == 64


@pytest.mark.parametrize("name", [NAME, "test_resnet", "torchvision/alexnet"])
def test_offline_work_makes_no_network_call_and_names_what_can_be_used(
    name: str, caches: Path, no_network: None
) -> None:
    with pytest.raises(HubError, match=r"not in the cache.*efficientnet_lite0.*zoo finetune efficientnet_lite0 DATA"):
        load(card(name, offline=True), offline=True)


def test_the_environment_variable_of_the_hub_means_offline_too(
    caches: Path, no_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="offline"):
        card(NAME)


def test_a_hub_that_refuses_connections_is_named_with_what_can_be_used(
    caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:  # bound, not listening: a connection to it is refused
        taken.bind(("127.0.0.1", 0))
        use_endpoint(monkeypatch, f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(HubError, match=r"127\.0\.0\.1:\d+ cannot be reached.*efficientnet_lite0.*zoo finetune"):
            load(card("test_resnet"))


def test_a_hub_that_never_answers_is_given_up_in_time(tiny: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub.DEADLINE < 10
    monkeypatch.setattr(hub, "TIMEOUT", 0.3)
    monkeypatch.setattr(hub, "DEADLINE", 1.0)
    tiny.faults[f"{REPOSITORY}/config.json"] = "slow"
    started = time.monotonic()
    with pytest.raises(HubError, match="cannot be reached"):
        card(NAME)
    assert time.monotonic() - started < 3


def test_a_download_that_stalls_is_given_up_and_the_next_attempt_recovers(
    tiny: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub.STALL < 10
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 1)
    found = card(NAME)
    tiny.faults[f"{REPOSITORY}/model.safetensors"] = "stall"
    started = time.monotonic()
    with pytest.raises(HubError, match=r"stalled.*Try again"):
        load(found)
    assert time.monotonic() - started < 3
    tiny.faults.clear()
    torch.testing.assert_close(load(found)(images()), tiny_model()(images()))


def test_a_download_that_is_slow_but_moves_goes_on(tiny: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 1)
    found = card(NAME)
    tiny.faults[f"{REPOSITORY}/model.safetensors"] = "trickle"
    started = time.monotonic()
    torch.testing.assert_close(load(found)(images()), tiny_model()(images()))
    assert time.monotonic() - started > 2


def test_a_name_server_that_never_answers_is_given_up_in_time(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, **__: object) -> None:
        time.sleep(2)
        raise OSError("no such host")

    use_endpoint(monkeypatch, "http://hub.invalid")
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(hub, "DEADLINE", 0.3)
    started = time.monotonic()
    with pytest.raises(HubError, match=r"hub\.invalid cannot be reached"):
        card(NAME)
    assert time.monotonic() - started < 1.5
    time.sleep(2)  # the abandoned thread ends within the test that started it


@pytest.mark.parametrize(
    ("status", "code", "message", "remedy"),
    [
        (401, "", "private, or does not exist", "hf auth login"),
        (401, "RepoNotFound", "private, or does not exist", "hf auth login"),
        (403, "", "private, or does not exist", "hf auth login"),
        (403, "GatedRepo", "accept its terms", "hf auth login"),
        (404, "RepoNotFound", "There is no repository 'someone/tiny'", "Check the name"),
        (404, "RevisionNotFound", "no such revision", "/tree/main"),
        (500, "", "HTTP 500", "Try again"),
    ],
)
def test_each_refusal_says_what_to_do(tiny: HubServer, status: int, code: str, message: str, remedy: str) -> None:
    tiny.refusals[REPOSITORY] = (status, code)
    with pytest.raises(HubError) as caught:
        card(NAME)
    assert message in caught.value.what
    assert remedy in caught.value.remedy


def test_a_repository_that_is_not_there_is_said_to_be_missing(hub_server: HubServer) -> None:
    with pytest.raises(HubError, match="There is no repository 'nobody/nothing'"):
        card("hf-hub:nobody/nothing")


@pytest.mark.parametrize("name", ["hf-hub:", "hf-hub:a/b/c", "hf-hub:../../etc", "hf-hub:owner/na me"])
def test_a_name_that_no_repository_can_have_is_refused_without_a_request(hub_server: HubServer, name: str) -> None:
    with pytest.raises(HubError, match="not a name of a repository"):
        card(name)
    assert hub_server.requests == []


def test_a_repository_of_another_library_is_refused(hub_server: HubServer) -> None:
    hub_server.files["a/bert/config.json"] = b'{"architectures": ["BertModel"], "hidden_size": 4}'
    with pytest.raises(ModelError, match="does not describe a timm model"):
        card("hf-hub:a/bert")


def test_a_repository_without_config_is_refused(hub_server: HubServer) -> None:
    hub_server.files["a/b/README.md"] = b"hello"
    with pytest.raises(ModelError, match=r"no config\.json"):
        card("hf-hub:a/b")


def test_a_repository_without_weights_is_refused(tiny: HubServer) -> None:
    found = card(NAME)
    del tiny.files[f"{REPOSITORY}/model.safetensors"]
    with pytest.raises(ModelError, match="holds none of"):
        load(found)


@pytest.mark.parametrize("fault", ["truncated", "corrupt"])
def test_a_damaged_download_is_an_error_and_the_next_attempt_recovers(tiny: HubServer, fault: str) -> None:
    found = card(NAME)
    tiny.faults[f"{REPOSITORY}/model.safetensors"] = fault  # type: ignore[assignment]
    with pytest.raises(WeightsError, match="Run the same command again"):
        load(found)
    torch.testing.assert_close(load(found)(images()), tiny_model()(images()))


def test_a_connection_that_breaks_off_is_taken_up_where_it_broke(tiny: HubServer) -> None:
    found = card(NAME)
    tiny.faults[f"{REPOSITORY}/model.safetensors"] = "cut"
    torch.testing.assert_close(load(found)(images()), tiny_model()(images()))


def test_a_cached_file_damaged_later_is_removed_and_fetched_again(tiny: HubServer) -> None:
    found = card(NAME)
    load(found)
    cached = hub.cached(NAME, "model.safetensors")
    assert cached is not None
    cached.resolve().write_bytes(b"\xff" * 100)
    with pytest.raises(WeightsError, match="removed from the cache"):
        load(found)
    torch.testing.assert_close(load(found)(images()), tiny_model()(images()))


def test_a_cached_file_that_cannot_be_read_is_kept(tiny: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    found = card(NAME)
    load(found)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("safetensors.torch.load_file", refuse)
        with pytest.raises(WeightsError, match="Check that the file can be read"):
            load(found)
    tiny.requests.clear()
    load(found)
    assert tiny.requests == []


def test_a_revision_is_asked_for_by_name(tiny: HubServer) -> None:
    card(f"{NAME}@v2")
    assert tiny.requests[0] == f"HEAD /{REPOSITORY}/resolve/v2/config.json"


def test_a_file_of_a_plain_address_is_fetched_once_and_checked(hub_server: HubServer, caches: Path) -> None:
    content = os.urandom(3000)
    url = f"{hub_server.url}/models/net-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    hub_server.files[url.removeprefix(hub_server.url)] = content
    path = hub.fetch_url(url)
    assert path.read_bytes() == content
    assert path.is_relative_to(caches / "torch")
    assert hub.fetch_url(url, offline=True) == path
    assert len(hub_server.requests) == 1


@pytest.mark.parametrize("fault", ["truncated", "cut", "corrupt"])
def test_a_damaged_file_of_a_plain_address_is_not_kept(hub_server: HubServer, fault: str) -> None:
    content = os.urandom(3000)
    path = f"/net-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    hub_server.files[path] = content
    hub_server.faults[path] = fault  # type: ignore[assignment]
    with pytest.raises(WeightsError, match="Run the same command again"):
        hub.fetch_url(hub_server.url + path)
    assert not hub.cached_url(hub_server.url + path).exists()
    assert hub.fetch_url(hub_server.url + path).read_bytes() == content


def test_a_plain_address_that_refuses_is_an_error(hub_server: HubServer) -> None:
    with pytest.raises(HubError, match="HTTP 404"):
        hub.fetch_url(f"{hub_server.url}/nothing.pth")


def test_weights_of_torchvision_without_a_network_name_what_can_be_used(caches: Path) -> None:
    found = replace(card("torchvision/alexnet"), origin="http://127.0.0.1:9/alexnet.pth")
    with pytest.raises(HubError, match=r"torchvision/alexnet: .*cannot be reached.*efficientnet_lite0"):
        load(found)


@pytest.mark.slow
def test_the_command_line_reads_the_endpoint_from_the_environment(tiny: HubServer, caches: Path) -> None:
    environment = {**os.environ, "HF_ENDPOINT": tiny.url, "HF_HUB_CACHE": str(caches / "hub"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "cli", "info", NAME, "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"architecture": "test_resnet"' in done.stdout
    assert all(REPOSITORY in request for request in tiny.requests)
    assert tiny.requests
