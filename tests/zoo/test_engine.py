"""Engines: chosen by measurement, remembered, and all with the features of float32."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from zoo import compiled, engine, weights
from zoo.backbone import pretrained
from zoo.catalog import card
from zoo.classifier import embed
from zoo.column import Column
from zoo.errors import DeviceError, ModelError, OptionError
from zoo.lanes import run
from zoo.preprocess import Preprocess
from zoo.runner import Runner

LENET, LITE = card("lenet5"), card("efficientnet_lite0")
CPU = torch.device("cpu")
ENGINES = ["float32", "bfloat16", "float16", "openvino"]


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    monkeypatch.delenv("ZOO_ENGINE", raising=False)


@pytest.fixture
def without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "installed", lambda: False)


def runner(name: str, batch: int = 4) -> Runner:
    if name == "openvino":
        pytest.importorskip("openvino")
    return Runner(weights.load(LITE), LITE.preprocess, name, batch=batch, device=CPU)


def photographs() -> np.ndarray:
    """Six crops of scikit-learn's two photographs."""
    wholes = [Image.fromarray(whole) for whole in load_sample_images().images]
    boxes = [(0, 0, 640, 427), (50, 50, 350, 350), (200, 100, 600, 420)]
    return np.stack([LITE.preprocess.pixels(whole.crop(box)) for whole in wholes for box in boxes])


@pytest.mark.parametrize("name", ENGINES)
def test_the_features_of_photographs_agree_with_plain_float32(name: str) -> None:
    pixels = photographs()
    expected = embed(weights.load(LITE), LITE.preprocess.normalise(torch.from_numpy(pixels))).detach().numpy()
    found = runner(name)(pixels)
    assert found.dtype == np.float16
    cosine = (found * expected).sum(1) / np.linalg.norm(found.astype(float), axis=1) / np.linalg.norm(expected, axis=1)
    assert cosine.min() > {"float32": 0.99999, "bfloat16": 0.99}.get(name, engine.AGREEMENT)


def smears() -> np.ndarray:
    """Four pictures of little contrast, as of blood under the microscope: one dark disc on an even ground."""
    y, x = np.mgrid[:224, :224]
    pictures = []
    for k in range(4):
        disc = np.hypot(x - 90 - 10 * k, y - 110) < 30 + 10 * k
        pictures.append(np.where(disc[..., None], (170 - 10 * k, 120, 180), (225, 205, 205)))
    return np.stack(pictures).astype(np.uint8)


@pytest.mark.parametrize("name", sorted(set(ENGINES) - {"bfloat16"}))
def test_an_engine_that_is_taken_unasked_agrees_on_pictures_of_little_contrast(name: str) -> None:
    expected = embed(weights.load(LITE), LITE.preprocess.normalise(torch.from_numpy(smears()))).detach().numpy()
    found = runner(name)(smears()).astype(float)
    cosine = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosine.min() > engine.AGREEMENT


def test_bfloat16_is_taken_only_when_it_is_asked_for_and_has_features_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "best_precision", lambda _: "bf16")
    assert engine.choose(LENET, torch.nn.Identity(), torch.device("cuda"), images=10).name == "float16"
    module = weights.load(LENET)
    for images in (10, engine.WORTH_MEASURING, engine.WORTH_COMPILING):
        assert engine.choose(LENET, module, CPU, images=images).name != "bfloat16"
    assert engine.choose(LENET, module, CPU, images=10, name="bfloat16").name == "bfloat16"
    folders = {}
    for asked in ("auto", "float32", "bfloat16"):
        monkeypatch.setenv("ZOO_ENGINE", asked)
        folders[asked] = Column(pretrained(LENET, offline=True), device="cpu").folder
    assert len(set(folders.values())) == 3


@pytest.mark.parametrize("name", ["float32", "openvino"])
def test_lanes_that_run_at_once_do_not_mix_their_images_up(name: str) -> None:
    working, pixels = runner(name), photographs()
    expected, found = working(pixels), np.zeros((6, 1280), dtype=np.float16)

    def work(number: int) -> int:
        found[number % 6] = working(pixels[number % 6][None])[0]
        return 1

    run(work, range(24), lanes=4, done=lambda _: None)
    np.testing.assert_allclose(found, expected, rtol=5e-3, atol=5e-3)


class Loud(torch.nn.Module):
    """A model whose activations leave half precision on bright images, though its features do not."""

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(3, 2)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.head((batch * 1e5).mean((2, 3)) / 1e5)


def test_images_on_which_half_precision_runs_over_are_done_in_float32() -> None:
    small = Preprocess(size=(8, 8))
    pixels = np.stack([np.full((8, 8, 3), value, dtype=np.uint8) for value in (128, 255)])
    expected = small.normalise(torch.from_numpy(pixels)).mean((2, 3)).numpy()
    found = Runner(Loud().eval(), small, "float16", batch=1, device=CPU)(pixels)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)


class TwoHeads(torch.nn.Module):
    """A model whose features can only be caught on their way to its heads, as distilled ones are."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.head_dist = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)

    def get_classifier(self) -> tuple[torch.nn.Module, torch.nn.Module]:
        return self.head, self.head_dist

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return (self.head(batch.mean((2, 3))) + self.head_dist(batch.amax((2, 3)))) / 2


def test_lanes_do_not_catch_each_others_features_where_a_model_has_several_heads() -> None:
    small = Preprocess(size=(8, 8))
    working = Runner(TwoHeads().eval(), small, "float32", batch=4, device=CPU)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 3), dtype=np.uint8)
    inputs = small.normalise(torch.from_numpy(pixels))
    expected = torch.cat([inputs.mean((2, 3)), inputs.amax((2, 3))], dim=1).numpy()
    found = np.zeros((64, 6), dtype=np.float16)

    def work(number: int) -> int:
        found[number] = working(pixels[number][None])[0]
        return 1

    run(work, range(64), lanes=8, done=lambda _: None)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)


def test_a_batch_that_does_not_fit_into_memory_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    working = Runner(weights.load(LENET), LENET.preprocess, "float32", batch=8, device=CPU)
    pixels = np.random.default_rng(0).integers(0, 255, (8, *LENET.preprocess.size, 1), dtype=np.uint8)
    expected = working(pixels)
    sizes = []
    original = working._forward

    def small(batch: np.ndarray) -> np.ndarray:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(batch)

    monkeypatch.setattr(working, "_forward", small)
    np.testing.assert_allclose(working(pixels), expected, atol=2e-3)
    assert sizes == [8, 4, 2, 2, 4, 2, 2]

    def never(batch: np.ndarray) -> np.ndarray:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(working, "_forward", never)
    with pytest.raises(DeviceError, match="memory"):
        working(pixels)


def test_the_measured_engine_is_remembered_and_described() -> None:
    module = weights.load(LENET)
    assert engine.describe() == ()
    chosen = engine.choose(LENET, module, CPU, images=engine.WORTH_MEASURING)
    assert "measured" in chosen.reason
    assert engine.choose(LENET, module, CPU, images=1) == chosen
    assert engine.describe() == (("lenet5", chosen),)


def test_a_short_job_measures_nothing() -> None:
    chosen = engine.choose(LENET, weights.load(LENET), CPU, images=10)
    assert "short" in chosen.reason
    assert engine.describe() == ()


def test_measuring_leaves_the_model_as_it_was() -> None:
    module = weights.load(LENET)
    before = copy.deepcopy(module.state_dict())
    engine.choose(LENET, module, CPU, images=engine.WORTH_MEASURING)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_openvino_is_tried_only_where_the_job_repays_compiling() -> None:
    pytest.importorskip("openvino")
    module = weights.load(LENET)
    short = engine.choose(LENET, module, CPU, images=engine.WORTH_COMPILING - 1)
    long = engine.choose(LENET, module, CPU, images=engine.WORTH_COMPILING)
    assert "openvino" not in short.reason
    assert "openvino" in long.reason


def test_the_quickest_of_what_was_measured_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"float32": 0.03, "openvino": 0.01}
    clock = [0.0]

    class Fake:
        def __init__(self, _module: object, _preprocess: object, name: str, **_: object) -> None:
            self.each = seconds[name]

        def __call__(self, pixels: np.ndarray) -> None:
            clock[0] += self.each * (len(pixels) + 3)  # a fixed cost: large batches win

    monkeypatch.setattr(engine, "Runner", Fake)
    monkeypatch.setattr(engine.time, "process_time", lambda: clock[0])
    chosen = engine._measured(LENET, torch.nn.Identity(), ("float32", "openvino"))
    assert (chosen.name, chosen.batch) == ("openvino", max(engine._CPU_BATCHES))


class Odd(torch.nn.Module):
    """A model of an operation that OpenVINO does not have, nor PyTorch but in float32 and float64."""

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(1, 2)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.head(torch.special.airy_ai(batch).mean((1, 2, 3))[:, None])


def test_a_model_that_openvino_cannot_run_takes_another_engine_unless_it_was_asked_for() -> None:
    pytest.importorskip("openvino")
    chosen = engine.choose(LENET, Odd().eval(), CPU, images=engine.WORTH_COMPILING)
    assert chosen.name != "openvino"
    assert "float32" in chosen.reason
    with pytest.raises(ModelError, match="OpenVINO cannot run this model"):
        engine.choose(LENET, Odd().eval(), CPU, images=engine.WORTH_COMPILING, name="openvino")


@pytest.mark.parametrize("images", [10, engine.WORTH_MEASURING])
def test_a_model_that_bfloat16_cannot_run_is_an_error_that_says_so(images: int) -> None:
    with pytest.raises(ModelError, match="cannot be run in bfloat16"):
        engine.choose(LENET, Odd().eval(), CPU, images=images, name="bfloat16")


def test_an_engine_that_is_unknown_or_not_here_is_an_error_that_says_what_to_do(without_openvino: None) -> None:
    with pytest.raises(OptionError, match="float32"):
        engine.check("warp")
    with pytest.raises(OptionError, match="pip install openvino"):
        engine.check("openvino")


def test_openvino_is_refused_on_an_accelerator() -> None:
    pytest.importorskip("openvino")
    with pytest.raises(OptionError, match="cuda"):
        engine.choose(LENET, weights.load(LENET), torch.device("cuda"), images=10, name="openvino")
