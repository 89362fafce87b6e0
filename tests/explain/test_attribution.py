from __future__ import annotations

import gc
import random

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam, LayerGradientXActivation
from torch import nn

from explain import METHODS, AttributionError, attribute, class_weights, find_structure
from explain.attribution import Task
from explain.batches import images_a_pass
from explain.gradients import gradient_at
from explain.isolation import isolated
from explain.layout import Layout
from explain.methods.integrated_gradients import IntegratedGradients
from explain.structure import Site, Structure
from tests.explain.conftest import PatchNet, planted, tiny
from zoo.errors import OptionError

NOWHERE = Structure(family="unknown", sites=())


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(3 * 8 * 8, 5)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(inputs.flatten(1))


class GapNet(nn.Module):
    """Convolution, mean, linear head: CAM, GradCAM and HiResCAM agree by algebra."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.Tanh())
        self.head = nn.Linear(8, 5)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(inputs).mean((2, 3)))


@pytest.mark.parametrize("method", ["input-x-gradient", "integrated-gradients"])
def test_on_a_linear_model_the_map_is_weight_times_input_and_adds_up(method: str) -> None:
    model, inputs = Linear(), torch.randn(4, 3, 8, 8)
    classes = torch.tensor([0, 1, 2, 3])
    maps = attribute(model, inputs, class_weights(classes, 5), method=method, structure=NOWHERE).maps
    expected = (model.head.weight[classes].view(4, 3, 8, 8) * inputs).sum(1)
    rise = (model(inputs) - model(torch.zeros_like(inputs))).gather(1, classes[:, None])[:, 0]
    torch.testing.assert_close(maps, expected.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(maps.sum((1, 2)), rise.detach(), atol=1e-5, rtol=1e-4)


def test_with_a_mean_and_a_linear_head_cam_gradcam_and_hirescam_are_proportional() -> None:
    model, inputs = GapNet(), torch.randn(3, 3, 32, 32)
    classes = torch.tensor([0, 3, 4])
    structure = find_structure(model, inputs)
    cam = torch.einsum("nchw,nc->nhw", model.conv(inputs), model.head.weight[classes]).detach()
    task = Task(model=model, structure=structure, inputs=inputs, weights=class_weights(classes, 5))
    for name in ("gradcam", "hirescam"):
        with isolated(model):
            maps = METHODS[name].attribute(task).maps
        torch.testing.assert_close(maps * 64, cam, atol=1e-5, rtol=1e-4)


def test_gradcam_agrees_with_captum_on_a_convolutional_net() -> None:
    model = tiny("test_resnet", num_classes=7)
    inputs, classes = torch.randn(2, 3, 96, 96), torch.tensor([1, 4])
    structure = find_structure(model, inputs)
    layer = model.get_submodule(structure.sites[0].path)
    theirs = LayerGradCam(model, layer).attribute(inputs, target=classes)[:, 0].detach()
    task = Task(model=model, structure=structure, inputs=inputs, weights=class_weights(classes, 7))
    with isolated(model):
        ours = METHODS["gradcam"].attribute(task).maps
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("method", ["gradcam", "hirescam"])
def test_maps_made_in_parts_are_those_of_one_whole_pass_forward_and_back(method: str) -> None:
    model = tiny("test_resnet", num_classes=7)
    inputs, classes = torch.randn(6, 3, 224, 224), torch.arange(6)
    structure = find_structure(model, inputs)
    assert images_a_pass(inputs, 16) < len(inputs), "else there is nothing to put together"
    layer = model.get_submodule(structure.sites[0].path)
    if method == "gradcam":
        theirs = LayerGradCam(model, layer).attribute(inputs, target=classes).detach()
    else:
        both = LayerGradientXActivation(model, layer, multiply_by_inputs=True)
        theirs = both.attribute(inputs, target=classes).sum(1, keepdim=True).detach()
    expected = nn.functional.interpolate(theirs, size=(224, 224), mode="bilinear")[:, 0]
    ours = attribute(model, inputs, class_weights(classes, 7), method=method, structure=structure).maps
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_the_map_of_a_planted_patch_points_at_it(method: str, patch_net: nn.Module) -> None:
    places = [(0, 0), (48, 48), (16, 32), (32, 8)]
    inputs = torch.cat([planted(at=at) for at in places])
    found = attribute(patch_net, inputs, class_weights(torch.zeros(4, dtype=torch.long), 2), method=method)
    area = 16 * 16 / 64**2
    hits, mass = 0, []
    for (row, column), relevance in zip(places, found.maps.clamp_min(0), strict=True):
        # The middle of the highest plateau: occlusion gives a whole window one value.
        peak = (relevance == relevance.max()).nonzero().double().mean(0).tolist()
        hits += row <= peak[0] < row + 16 and column <= peak[1] < column + 16
        mass.append(float(relevance[row : row + 16, column : column + 16].sum() / relevance.sum()))
    assert hits == 4
    assert np.mean(mass) >= 5 * area


def test_a_random_map_holds_no_more_than_the_area_of_the_patch() -> None:
    maps = torch.rand(64, 64, 64, generator=torch.Generator().manual_seed(0))
    share = float((maps[:, 8:24, 8:24].sum((1, 2)) / maps.sum((1, 2))).mean())
    assert share == pytest.approx(16 * 16 / 64**2, rel=0.05)


@pytest.mark.parametrize("size", [(64, 64), (64, 96), (96, 64)])
def test_one_spot_peaks_in_the_right_corner_also_on_oblong_inputs(size: tuple[int, int], patch_net: nn.Module) -> None:
    rows, columns = size
    for at in ((0, 0), (0, columns - 8), (rows - 8, 0), (rows - 8, columns - 8)):
        inputs = planted(rows, columns, at=at, size=8)
        found = attribute(patch_net, inputs, class_weights(torch.tensor([0]), 2), method="hirescam")
        peak = divmod(int(found.maps[0].argmax()), columns)
        assert abs(peak[0] - at[0] - 4) <= 8
        assert abs(peak[1] - at[1] - 4) <= 8


def test_the_map_of_a_mirrored_picture_is_mirrored(patch_net: nn.Module) -> None:
    inputs, weights = planted(at=(8, 40)), class_weights(torch.tensor([0]), 2)
    structure = find_structure(patch_net, inputs)
    maps = attribute(patch_net, inputs, weights, method="hirescam", structure=structure).maps
    mirrored = attribute(patch_net, inputs.flip(3), weights, method="hirescam", structure=structure).maps
    torch.testing.assert_close(mirrored, maps.flip(2), atol=1e-6, rtol=1e-5)


def test_what_speaks_against_is_negative(patch_net: nn.Module) -> None:
    inputs = planted(at=(8, 8))
    found = attribute(patch_net, inputs, class_weights(torch.tensor([1]), 2), method="hirescam")
    assert float(found.maps.min()) < 0
    assert float(found.maps.max()) <= 0


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext"])
def test_a_batch_gives_the_same_maps_as_single_images(name: str) -> None:
    model = tiny(name, num_classes=5)
    inputs, weights = torch.randn(3, 3, 160, 160), class_weights(torch.tensor([0, 1, 2]), 5)
    structure = find_structure(model, inputs)
    for method in (
        "hirescam",
        "gradcam",
        "marginal-cam",
        "input-x-gradient",
        "gradient-shap",
        "occlusion",
        "legrad",
        "gae",
    ):
        if METHODS[method].obstacle(structure):
            continue
        together = attribute(model, inputs, weights, method=method, structure=structure).maps
        alone = attribute(model, inputs, weights, method=method, structure=structure, batch=1).maps
        torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-3)


def test_a_layer_that_does_not_reach_the_score_raises() -> None:
    model, inputs = tiny("test_vit", num_classes=5), torch.randn(1, 3, 160, 160)
    last = Site(path="blocks.5", call=0, layout=Layout(order="tokens", grid=(10, 10), prefix=1))
    task = Task(model=model, structure=NOWHERE, inputs=inputs, weights=class_weights(torch.tensor([0]), 5))
    with isolated(model), pytest.raises(AttributionError, match="zero everywhere"):
        gradient_at(task, last)


@pytest.mark.parametrize(
    "layout",
    [
        Layout(order="tokens", grid=(10, 10), prefix=0),
        Layout(order="NHWC", grid=(10, 10)),
        Layout(order="tokens", grid=(9, 10), prefix=1),
    ],
)
def test_a_wrong_layout_raises(layout: Layout) -> None:
    model, inputs = tiny("test_vit", num_classes=5), torch.randn(1, 3, 160, 160)
    site = Site(path="blocks.5.norm1", call=0, layout=layout)
    task = Task(model=model, structure=NOWHERE, inputs=inputs, weights=class_weights(torch.tensor([0]), 5))
    with isolated(model), pytest.raises(AttributionError, match="is not"):
        gradient_at(task, site)


def test_a_reused_module_and_relu_in_place_are_no_obstacle() -> None:
    class Reused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.stem, self.body = nn.Conv2d(3, 8, 8, stride=8), nn.Conv2d(8, 8, 1)
            self.relu, self.head = nn.ReLU(inplace=True), nn.Linear(8, 3)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            features = self.relu(self.stem(inputs))
            for _ in range(3):
                features = self.relu(self.body(features) + 1)
            return self.head(features.mean((2, 3)))

    model, inputs = Reused().eval(), torch.randn(2, 3, 64, 64)
    structure = find_structure(model, inputs)
    classes = torch.tensor([0, 2])
    found = attribute(model, inputs, class_weights(classes, 3), method="hirescam", structure=structure)
    score = (model(inputs).gather(1, classes[:, None])[:, 0] - model.head.bias[classes]).detach()
    assert found.method == "hirescam"
    assert structure.sites[0].call > 0
    # Each of the 8 x 8 cells became 8 x 8 pixels; bilinear enlargement keeps the mean.
    torch.testing.assert_close(found.maps.mean((1, 2)) * 64, score, atol=1e-4, rtol=2e-2)


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("crashes", [False, True])
def test_the_model_comes_back_as_it_was_also_after_an_exception(
    method: str, crashes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny("test_vit", num_classes=5).train()
    model.blocks[0].eval()
    model.cls_token.requires_grad_(False)
    model.head.weight.grad = torch.ones_like(model.head.weight)
    mine = model.norm.register_forward_hook(lambda *_: None)
    structure = find_structure(model, torch.randn(1, 3, 160, 160))

    def state() -> list[object]:
        modules = [(m.training, getattr(m, "fused_attn", None), list(m._forward_hooks)) for m in model.modules()]
        parameters = [(p.requires_grad, p.grad is None, p.grad_fn is None) for p in model.parameters()]
        numbers = (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
        return [modules, parameters, numbers, torch.is_grad_enabled()]

    before = state()
    if crashes:
        calls = []

        def crash(*_: object) -> None:
            calls.append(1)
            raise ZeroDivisionError

        broken = model.blocks[5].norm2.register_forward_hook(crash)
        before = state()
    try:
        attribute(
            model, torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(0)),
            class_weights(torch.tensor([0, 1]), 5), method=method, structure=structure, seed=5,
        )  # fmt: skip
        crashed = False
    except ZeroDivisionError:
        crashed = True
    assert crashed == crashes
    assert state() == before
    assert torch.equal(model.head.weight.grad, torch.ones_like(model.head.weight))
    if crashes:
        broken.remove()
    mine.remove()


@pytest.mark.parametrize("method", ["hirescam", "marginal-cam", "legrad", "gae", "input-x-gradient", "occlusion"])
def test_frozen_models_work_under_no_grad_and_inference_mode(method: str) -> None:
    model = tiny("test_vit", num_classes=5).requires_grad_(False)
    inputs, weights = torch.randn(1, 3, 160, 160), class_weights(torch.tensor([0]), 5)
    expected = attribute(model, inputs, weights, method=method).maps
    with torch.no_grad():
        torch.testing.assert_close(attribute(model, inputs, weights, method=method).maps, expected)
    with torch.inference_mode():
        found = attribute(model, inputs.clone(), weights, method=method).maps
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_half_precision_ranks_places_as_full_precision_does(name: str) -> None:
    from explain.sanity import rank_correlation

    model = tiny(name, num_classes=5)
    inputs, weights = torch.randn(4, 3, 160, 160), class_weights(torch.arange(4), 5)
    method = "hirescam" if name == "test_resnet" else "legrad"
    full = attribute(model, inputs, weights, method=method).maps
    half = attribute(model.to(torch.bfloat16), inputs, weights, method=method).maps
    assert half.dtype == torch.float32
    assert rank_correlation(full, half).min() > 0.95


def test_autocast_is_respected() -> None:
    model = tiny("test_resnet", num_classes=5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = attribute(model, torch.randn(1, 3, 96, 96), class_weights(torch.tensor([0]), 5), method="hirescam")
    assert bool(torch.isfinite(found.maps).all())
    assert found.method == "hirescam"


def test_the_same_seed_gives_the_same_bytes(patch_net: nn.Module) -> None:
    inputs, weights = planted(at=(8, 8)), class_weights(torch.tensor([0]), 2)
    for method in METHODS:
        first, second = (attribute(patch_net, inputs, weights, method=method, seed=3).maps for _ in range(2))
        assert first.numpy().tobytes() == second.numpy().tobytes()


def test_the_peak_of_integrated_gradients_does_not_depend_on_the_steps() -> None:
    model = tiny("test_resnet", num_classes=5)
    inputs = torch.randn(1, 3, 96, 96)
    task = Task(model=model, structure=NOWHERE, inputs=inputs, weights=class_weights(torch.tensor([0]), 5))
    with isolated(model):
        peaks = {int(IntegratedGradients(steps=n, tolerance=1e9).attribute(task).maps.argmax()) for n in (16, 64, 128)}
    assert len(peaks) == 1


def test_integrated_gradients_doubles_its_steps_until_the_map_adds_up() -> None:
    model = tiny("test_resnet", num_classes=5)
    task = Task(
        model=model, structure=NOWHERE, inputs=torch.randn(2, 3, 96, 96), weights=class_weights(torch.arange(2), 5)
    )
    with isolated(model):
        found = IntegratedGradients(steps=1, tolerance=0.01).attribute(task)
    assert found.completeness_error is not None
    assert found.completeness_error <= 0.01


def test_where_a_method_does_not_fit_the_fallback_is_named() -> None:
    model = tiny("test_resnet", num_classes=5)
    found = attribute(model, torch.randn(1, 3, 96, 96), class_weights(torch.tensor([0]), 5), method="gae")
    assert found.method == "integrated-gradients"
    assert "no global attention" in found.fallback


def test_an_unknown_method_is_told_with_its_nearest_name() -> None:
    with pytest.raises(OptionError, match="hirescam"):
        attribute(GapNet(), torch.randn(1, 3, 32, 32), class_weights(torch.tensor([0]), 5), method="hirescan")


@pytest.mark.slow
def test_two_hundred_calls_leave_no_tensor_behind(patch_net: nn.Module) -> None:
    inputs, weights = planted(at=(8, 8)), class_weights(torch.tensor([0]), 2)
    structure = find_structure(patch_net, inputs)

    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())

    counts = []
    for _ in range(2):
        for _ in range(100):
            attribute(patch_net, inputs, weights, method="hirescam", structure=structure)
            attribute(patch_net, inputs, weights, method="input-x-gradient", structure=structure)
        counts.append(tensors())
    assert counts[1] <= counts[0]


def test_planted_patches_are_what_the_net_sees() -> None:
    model = PatchNet().eval()
    with torch.no_grad():
        assert model(planted(at=(8, 8)))[0, 0] > model(torch.full((1, 3, 64, 64), -0.1))[0, 0]
