"""Weights from files: every layout that people have on disk, and every way a file can be wrong."""

from __future__ import annotations

import os
import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from torch import nn
from torchvision import models

from tests.zoo.tiny import images, saved, tiny_model
from zoo.catalog import card
from zoo.classifier import head_of
from zoo.errors import WeightsError
from zoo.location import location
from zoo.tensors import read_tensors
from zoo.weights import build, fingerprint, load, parameters, state_dict, with_head


def _same(module: nn.Module, other: nn.Module, size: int = 160) -> None:
    with torch.no_grad():
        torch.testing.assert_close(module(images((size, size))), other.eval()(images((size, size))))


@pytest.mark.parametrize("ending", [".safetensors", ".pth", ".pt", ".bin"])
def test_a_file_of_any_kind_gives_the_saved_model(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"weights{ending}"
    save = safetensors.torch.save_file if ending == ".safetensors" else torch.save
    save(tiny_model().state_dict(), path)  # type: ignore[operator]
    module = load(card(f"test_resnet@{path}"))
    _same(module, tiny_model())
    assert not module.training
    assert module.num_classes == 7


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict"])
def test_a_checkpoint_that_wraps_its_weights_is_unwrapped(tmp_path: Path, key: str) -> None:
    tensors = {f"module.{name}": tensor for name, tensor in tiny_model().state_dict().items()}
    torch.save({key: tensors, "epoch": 3}, tmp_path / "checkpoint.pth")
    _same(load(card(f"test_resnet@{tmp_path}/checkpoint.pth")), tiny_model())


def test_a_folder_gives_the_saved_model(tmp_path: Path) -> None:
    for name, content in saved(tiny_model()).items():
        (tmp_path / name).write_bytes(content)
    _same(load(card(str(tmp_path))), tiny_model())


def test_a_folder_whose_model_takes_grey_images_of_another_size_gives_that_model(tmp_path: Path) -> None:
    module = timm.create_model("test_vit", num_classes=4, in_chans=1, img_size=96).eval()
    files = saved(module, input_size=(1, 96, 96), fixed_input_size=True)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    found = card(str(tmp_path))
    assert (found.preprocess.channels, found.preprocess.size) == (1, (96, 96))
    torch.testing.assert_close(load(found)(images((96, 96), 1)), module(images((96, 96), 1)))


def test_a_folder_with_a_pickled_state_dict_gives_the_saved_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(saved(tiny_model())["config.json"])
    torch.save(tiny_model().state_dict(), tmp_path / "pytorch_model.bin")
    _same(load(card(str(tmp_path))), tiny_model())


def test_a_file_of_our_own_architecture_gives_the_saved_model(tmp_path: Path) -> None:
    module = build(card("lenet5"), num_classes=26)
    with torch.no_grad():
        head_of(module).weight.normal_()
    torch.save(module.state_dict(), tmp_path / "letters.pth")
    loaded = load(card(f"lenet5@{tmp_path}/letters.pth"))
    torch.testing.assert_close(loaded(images((32, 32), 1)), module(images((32, 32), 1)))


@pytest.mark.parametrize("name", ["mnasnet0_5", "mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_a_file_of_torchvision_gives_the_saved_model(tmp_path: Path, name: str) -> None:
    module = models.get_model(name)
    torch.save(module.state_dict(), tmp_path / "weights.pth")
    _same(load(card(f"torchvision/{name}@{tmp_path}/weights.pth")), module, 64)


def test_auxiliary_heads_in_a_file_are_left_out(tmp_path: Path) -> None:
    module = models.googlenet(init_weights=False, aux_logits=True, transform_input=True)
    torch.save(module.state_dict(), tmp_path / "weights.pth")
    loaded = load(card(f"torchvision/googlenet@{tmp_path}/weights.pth"))
    _same(loaded, module, 64)
    assert isinstance(loaded.train()(images((64, 64))), torch.Tensor)


def test_the_old_names_in_densenets_file_are_mended(tmp_path: Path) -> None:
    module = models.densenet121()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", n): t for n, t in module.state_dict().items()}
    assert old.keys() != module.state_dict().keys()
    torch.save(old, tmp_path / "weights.pth")
    _same(load(card(f"torchvision/densenet121@{tmp_path}/weights.pth")), module, 64)


def test_an_architecture_without_published_weights_can_be_named_for_a_file(tmp_path: Path) -> None:
    listed = {name.partition(".")[0] for name in timm.list_models(pretrained=True)}
    name = next(name for name in timm.list_models("resnetv2_*") if name not in listed)
    found = card(f"{name}@{_file(tmp_path, b'')}")
    assert (found.architecture, found.source) == (name, "local")


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch evil-was-here",)


def _file(folder: Path, content: bytes, name: str = "weights.pth") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_code_in_a_file_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in {"a.pth": pickle.dumps({"weight": _Evil()}), "b.bin": pickle.dumps(_Evil())}.items():
        with pytest.raises(WeightsError):
            load(card(f"test_resnet@{_file(tmp_path, content, name)}"))
    torch.save({"state_dict": _Evil()}, tmp_path / "c.pth")
    with pytest.raises(WeightsError):
        load(card(f"test_resnet@{tmp_path}/c.pth"))
    assert not (tmp_path / "evil-was-here").exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04", b"PK\x03\x04" + b"\0" * 40, b"\xff" * 3000], ids=len)
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_file_that_holds_no_weights_is_an_error(tmp_path: Path, content: bytes, ending: str) -> None:
    with pytest.raises(WeightsError, match="damaged, or not a weights file"):
        read_tensors(_file(tmp_path, content, f"weights{ending}"), remedy="")


@pytest.mark.parametrize("content", [[1, 2], {"a": 3}, {"state_dict": {"a": "b"}}, torch.zeros(3)], ids=repr)
def test_a_file_that_holds_something_else_is_an_error(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="no state dict"):
        read_tensors(tmp_path / "weights.pth", remedy="")


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_an_error(tmp_path: Path, ending: str, share: float) -> None:
    path = tmp_path / f"weights{ending}"
    save = safetensors.torch.save_file if ending == ".safetensors" else torch.save
    save(tiny_model().state_dict(), path)  # type: ignore[operator]
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(WeightsError, match="Get the file again"):
        load(card(f"test_resnet@{path}"))
    assert path.exists()


@pytest.mark.parametrize("architecture", ["test_vit", "torchvision/mobilenet_v2", "lenet5"])
def test_weights_of_another_architecture_are_an_error(tmp_path: Path, architecture: str) -> None:
    torch.save(tiny_model().state_dict(), tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="do not fit the architecture"):
        load(card(f"{architecture}@{tmp_path}/weights.pth"))


def test_a_folder_whose_weights_are_of_another_architecture_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(saved(tiny_model())["config.json"])
    torch.save(tiny_model(7, "test_vit").state_dict(), tmp_path / "model.pth")
    with pytest.raises(WeightsError, match="do not fit"):
        load(card(str(tmp_path)))


def test_a_folder_without_weights_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(saved(tiny_model())["config.json"])
    with pytest.raises(WeightsError, match="holds no weights"):
        load(card(str(tmp_path)))


def test_a_new_head_starts_with_equal_scores() -> None:
    module = load(card("efficientnet_lite0"), num_classes=5)
    torch.testing.assert_close(module(images((64, 64))), torch.zeros(2, 5))
    assert module.num_classes == 5


def test_a_built_model_takes_the_state_dict_of_a_loaded_one(tmp_path: Path) -> None:
    torch.save(tiny_model().state_dict(), tmp_path / "weights.pth")
    found = card(f"test_resnet@{tmp_path}/weights.pth")
    weight, bias = torch.randn(3, head_of(tiny_model()).weight.shape[1]), torch.randn(3)
    state = with_head(found, weight, bias)
    module = build(found, num_classes=3)
    module.load_state_dict(state)
    torch.testing.assert_close(head_of(module).weight, weight)
    assert state_dict(found).keys() == state.keys()


def test_the_fingerprint_names_content_and_architecture_not_the_place(tmp_path: Path) -> None:
    torch.save(tiny_model().state_dict(), tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes((tmp_path / "a.pth").read_bytes())
    torch.save(tiny_model(8).state_dict(), tmp_path / "c.pth")
    a, b, c = (card(f"test_resnet@{tmp_path}/{name}.pth") for name in "abc")
    assert fingerprint(a) == fingerprint(b) != fingerprint(c)
    assert fingerprint(replace(a, architecture="test_byobnet")) != fingerprint(a)


def test_a_file_that_changed_has_another_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(tiny_model().state_dict(), path)
    before = fingerprint(card(f"test_resnet@{path}"))
    torch.save(tiny_model(9).state_dict(), path)
    assert fingerprint(card(f"test_resnet@{path}")) != before


def test_parameters_of_a_file_count_the_classes_in_it(tmp_path: Path) -> None:
    torch.save(tiny_model().state_dict(), tmp_path / "weights.pth")
    expected = sum(parameter.numel() for parameter in tiny_model().parameters())
    assert parameters(card(f"test_resnet@{tmp_path}/weights.pth")) == expected


def test_parameters_are_counted_without_memory_for_weights(tmp_path: Path) -> None:
    found = replace(card("vit_giant_patch14_dinov2"), parameters=None)
    assert parameters(found) > 10**9
    assert location(card("efficientnet_lite0")) is not None
    assert location(card("lenet5")) is None
