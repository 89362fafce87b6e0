"""Models and held-out images that heatmaps are compared on, and the peers that they are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerGradCam, Occlusion
from PIL import Image
from torch import Tensor, nn

import zoo
from zoo.catalog import card
from zoo.run import Run
from zoo.weights import load

MODEL = "efficientnet_lite0"
#: In the order of what they cost to make: nothing, a minute, some minutes.
MODELS = ("imagenet", "probe", "finetune")
#: What their users point peers at: the last block and the last feature map.
LAYERS = ("blocks.6", "bn2")

Maps = Callable[[], Tensor]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model, and images that it was not fitted on.

    Attributes:
        model: The classifier, in evaluation mode.
        inputs: Normalised images that methods are compared on.
        calibration: Others, that ``auto`` chooses on.
    """

    model: nn.Module
    inputs: Tensor
    calibration: Tensor


def run_of(kind: str, root: Path, runs: Path) -> Run:
    """The run of ``zoo finetune`` with the recipe ``kind`` in ``runs/KIND-DATA``, made where it is not there."""
    folder = runs / f"{kind}-{root.name}"
    if folder.exists():
        return Run.open(folder)
    time = {} if kind == "probe" else {"time": "3m"}
    return zoo.finetune(MODEL, root, out=folder, recipe=kind, **time)


def held_out(run: Run) -> list[Path]:
    """Image files that the run did not learn from."""
    data = run.dataset()
    split = data.indices("test")
    return [data.file(data.samples[k]) for k in (split if len(split) else data.indices("val"))]


def subject(kind: str, root: Path, *, runs: Path, images: int, calibration: int, seed: int) -> Subject:
    """A model of ``MODELS`` and ``images + calibration`` images of ``root``, drawn with ``seed``."""
    if kind == "imagenet":
        data, preprocess = zoo.read(root), card(MODEL).preprocess
        model, files = load(card(MODEL)), [data.file(s) for s in data.samples]
    else:
        run = run_of(kind, root, runs)
        model, files, preprocess = run.module(), held_out(run), run.preprocess
    drawn = np.random.default_rng(seed).permutation(len(files))[: images + calibration]
    pixels = [preprocess.pixels(Image.open(files[k]).convert("RGB")) for k in drawn]
    inputs = preprocess.normalise(torch.from_numpy(np.stack(pixels))).contiguous()
    return Subject(model=model.eval(), inputs=inputs[:images], calibration=inputs[images:])


def peers(model: nn.Module, inputs: Tensor, classes: Tensor) -> Iterator[tuple[str, Maps]]:
    """Captum's and grad-cam's methods, the cheapest first: each name, and what makes its maps at the input's size."""
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def layer_gradcam() -> Tensor:
        maps = LayerGradCam(model, model.get_submodule("bn2")).attribute(inputs, target=classes).detach()
        return nn.functional.interpolate(maps, size=tuple(inputs.shape[2:]), mode="bilinear")[:, 0]

    def cam(name: str, layer: str) -> Tensor:
        targets = [ClassifierOutputTarget(int(c)) for c in classes]
        with getattr(pytorch_grad_cam, name)(model=model, target_layers=[model.get_submodule(layer)]) as made:
            return torch.from_numpy(made(input_tensor=inputs, targets=targets))

    def occlusion(window: int) -> Tensor:
        return Occlusion(model).attribute(
            inputs, sliding_window_shapes=(3, window, window), strides=(3, window // 2, window // 2), target=classes,
            baselines=0, perturbations_per_eval=4,
        ).sum(1)  # fmt: skip

    def integrated() -> Tensor:
        pairs = zip(inputs.split(1), classes.split(1), strict=True)
        explainer = IntegratedGradients(model)
        return torch.cat([explainer.attribute(x, target=c, internal_batch_size=25).sum(1).float() for x, c in pairs])

    yield "Captum LayerGradCam bn2", layer_gradcam
    for name in ("GradCAM", "GradCAMPlusPlus", "HiResCAM", "LayerCAM"):
        for layer in LAYERS:
            yield f"grad-cam {name} {layer}", lambda name=name, layer=layer: cam(name, layer)
    for window in (56, 32):
        yield f"Captum Occlusion {window}/{window // 2}", lambda window=window: occlusion(window)
    yield "Captum IntegratedGradients, 50 steps", integrated
