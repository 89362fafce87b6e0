"""Names, aliases, cards, and what is said of a name that nobody knows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from torchvision import models

from tests.zoo.tiny import saved, tiny_model
from zoo import catalog, index, upstream
from zoo.catalog import ALIASES, at_hand, card, cards, resolve
from zoo.errors import ModelError, UnknownModelError
from zoo.weights import build, parameters


@pytest.mark.parametrize("alias", sorted(ALIASES))
def test_an_alias_stands_for_a_model_of_the_catalog(caches: Path, alias: str) -> None:
    assert card(alias).name == resolve(alias) == ALIASES[alias]
    assert card(alias.upper()) == card(alias)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("resnet50", "resnet50.a1_in1k"),
        ("resnet18.tv_in1k", "resnet18.tv_in1k"),
        ("timm/resnet18.tv_in1k", "resnet18.tv_in1k"),
        ("torchvision/vgg16", "torchvision/vgg16"),
        ("efficientnet_lite1", "efficientnet_lite1"),
    ],
)
def test_a_model_is_found_by_its_architecture_or_its_full_name(caches: Path, name: str, full: str) -> None:
    assert card(name).name == full


@pytest.mark.parametrize(
    ("wrong", "suggested"),
    [
        ("resnet50.a1_in1", "resnet50.a1_in1k"),
        ("resnt", "resnet"),
        ("efficientnet_light0", "efficientnet_lite0"),
        ("torchvision/alexnte", "torchvision/alexnet"),
        ("xyzzy", "convnext"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(caches: Path, wrong: str, suggested: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        card(wrong)
    assert wrong in caught.value.what
    assert suggested in caught.value.remedy
    assert "zoo list" in caught.value.remedy


def test_the_catalog_answers_without_importing_timm_or_torchvision() -> None:
    code = (
        "import sys; from zoo.catalog import card, cards; from zoo.errors import UnknownModelError\n"
        "card('resnet'); card('vgg'); cards('vit*')\n"
        "try: card('resnt')\n"
        "except UnknownModelError: pass\n"
        "assert not {'timm', 'torchvision', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_pattern_lists_the_models_that_match_sorted(caches: Path) -> None:
    names = [found.name for found in cards("resnet18*")]
    assert names == sorted(names)
    assert "resnet18.a1_in1k" in names
    assert all(name.startswith("resnet18") for name in names)
    assert [found.name for found in cards("resnet")] == ["resnet50.a1_in1k"]
    assert {found.name.partition(".")[0] for found in cards("resnet34")} == {"resnet34"}
    assert cards("nothing*") == []


def test_everything_of_timm_and_torchvision_with_a_linear_head_is_listed(caches: Path) -> None:
    names = {found.name for found in cards()}
    missing = set(timm.list_models(pretrained=True)) - names
    assert {name.partition("_")[0] for name in missing} <= {"efficientvim"}
    missing = {f"torchvision/{name}" for name in models.list_models(module=models)} - names
    assert missing == {"torchvision/squeezenet1_0", "torchvision/squeezenet1_1"}


@pytest.mark.parametrize("name", ["test_vit.r160_in1k", "resnet18.a1_in1k", "mobilenetv3_small_050.lamb_in1k"])
def test_the_index_agrees_with_timm(caches: Path, name: str) -> None:
    listed, live = index.cards()[name], upstream.timm_card(name)
    assert (listed.preprocess, listed.license, listed.origin) == (live.preprocess, live.license, live.origin)
    assert listed.parameters == sum(parameter.numel() for parameter in timm.create_model(name).parameters())


@pytest.mark.parametrize("name", ["torchvision/alexnet", "torchvision/vit_h_14", "torchvision/swin_v2_t"])
def test_the_index_agrees_with_torchvision(name: str) -> None:
    assert index.cards()[name] == upstream.torchvision_card(name)


def test_another_version_of_timm_is_asked_for_its_own_models(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {name: found for name, found in index.cards().items() if not name.startswith("resnet26")}
    monkeypatch.setattr(index, "cards", lambda: known)
    with pytest.raises(UnknownModelError):
        card("resnet26.bt_in1k")
    monkeypatch.setattr(index, "complete", lambda library: library != "timm")
    assert card("resnet26.bt_in1k").origin == "hf-hub:timm/resnet26.bt_in1k"
    assert [found.name for found in cards("resnet26.bt_in1k")] == ["resnet26.bt_in1k"]


def test_torchvisions_resize_becomes_a_share_of_the_crop(caches: Path) -> None:
    preprocess = card("torchvision/alexnet").preprocess
    assert (preprocess.size, preprocess.crop_pct, preprocess.interpolation) == ((224, 224), 224 / 256, "bilinear")


def test_every_listed_card_can_be_used_for_preprocessing(caches: Path) -> None:
    for found in cards():
        p = found.preprocess
        assert 0 < p.crop_pct <= 1, found.name
        assert len(p.mean) == len(p.std) in {1, 3}, found.name
        assert all(0 <= mean < 1 for mean in p.mean), found.name
        assert all(0 < std <= 1 for std in p.std), found.name
        assert found.accuracy is None or 0.3 < found.accuracy < 1, found.name
        assert found.parameters is not None, found.name
        assert found.origin, found.name


def test_a_folder_as_timm_saves_it_is_a_model(caches: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my model"
    folder.mkdir()
    for name, content in saved(tiny_model()).items():
        (folder / name).write_bytes(content)
    found = card(str(folder))
    assert (found.source, found.num_classes, found.cached) == ("local", 7, True)
    assert parameters(found) == sum(parameter.numel() for parameter in tiny_model().parameters())


def test_a_card_is_enough_to_build_the_model_again(caches: Path, tmp_path: Path) -> None:
    for name, content in saved(tiny_model()).items():
        (tmp_path / name).write_bytes(content)
    found = card(str(tmp_path))
    (tmp_path / "config.json").unlink()
    module = build(found, num_classes=3)
    module.load_state_dict(build(found, num_classes=3).state_dict())
    assert module(torch.zeros(1, 3, 160, 160)).shape == (1, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("weights.safetensors", "Name the architecture before an @: resnet18@weights.safetensors"),
        ("resnet18@nowhere.safetensors", "There is no file 'nowhere.safetensors'"),
        ("resnt@weights.safetensors", "Did you mean 'resnet'"),
    ],
)
def test_a_weights_file_is_named_with_its_architecture(caches: Path, name: str, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        card(name)
    assert message in str(caught.value)


def test_a_file_that_is_no_weights_file_is_refused(caches: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ModelError, match=r"must end in \.safetensors"):
        card(f"resnet18@{tmp_path}/notes.txt")


def test_a_folder_without_config_says_how_to_name_a_file(caches: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json.*resnet18@"):
        card(str(tmp_path))


@pytest.mark.parametrize(
    "config", ["", "[]", "{}", '{"architecture": 3}', '{"architecture": "x", "pretrained_cfg": 1}']
)
def test_a_config_that_describes_no_timm_model_is_refused(caches: Path, tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(ModelError):
        build(card(str(tmp_path)))


def test_what_is_at_hand_is_said_with_the_command_to_use_it(caches: Path) -> None:
    assert "efficientnet_lite0" in at_hand()
    assert "none (cached)" in at_hand()
    assert "zoo finetune efficientnet_lite0 DATA" in at_hand()


def test_a_cached_model_is_at_hand(caches: Path) -> None:
    snapshot = caches / "hub" / "models--timm--resnet18.a1_in1k" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").touch()
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    (caches / "torch" / "hub" / "checkpoints").mkdir(parents=True)
    (caches / "torch" / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth").touch()
    assert {found.name for found in cards() if found.cached and found.source in {"timm", "torchvision"}} == {
        "resnet18.a1_in1k",
        "torchvision/alexnet",
    }
    assert "resnet18.a1_in1k, torchvision/alexnet (cached)" in catalog.at_hand()
