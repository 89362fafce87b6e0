"""Mean symmetric relevance gain of ``auto`` against Captum's and grad-cam's methods, on the same images.

Models: bundled EfficientNet-Lite0 with its ImageNet head, and with heads fitted on the data's own classes (frozen
features and logistic regression on four fifths; images explained are of the last fifth). ``auto`` chooses on other
images than those that are compared. Needs ``pip install grad-cam``.

    python benchmarks/explain_faithfulness.py DATA ... --images 24 --calibration 12
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerGradCam, Occlusion
from PIL import Image
from torch import Tensor, nn

import zoo.data
from explain import Deletion, attribute, class_weights, find_structure, relevance_gain
from explain.choice import Calibration, choose
from zoo.catalog import card
from zoo.classifier import embed, set_head
from zoo.weights import load

#: What their users point them at: the last block and the last feature map.
LAYERS = ("blocks.6", "bn2")


def fitted(root: Path, seed: int = 0) -> tuple[nn.Module, list[Path], Callable[[list[Path]], Tensor]]:
    """Lite0 with a head for the data's classes, and the held-out files."""
    from sklearn.linear_model import LogisticRegression

    facts = card("efficientnet_lite0")
    model = load(facts).eval()
    dataset = zoo.data.read(root)
    order = np.random.default_rng(seed).permutation(len(dataset))
    train, held = order[len(order) // 5 :][:1000], order[: len(order) // 5]

    def inputs(files: list[Path]) -> Tensor:
        pixels = [facts.preprocess.pixels(Image.open(f).convert("RGB")) for f in files]
        return facts.preprocess.normalise(torch.from_numpy(np.stack(pixels)))

    files = [dataset.file(s) for s in dataset.samples]
    with torch.inference_mode():
        features = torch.cat(
            [embed(model, inputs([files[k] for k in part])) for part in np.array_split(train, len(train) // 32)]
        )
    fit = LogisticRegression(max_iter=500, C=0.1).fit(features.numpy(), dataset.labels[train])
    set_head(model, torch.from_numpy(fit.coef_).float(), torch.from_numpy(fit.intercept_).float())
    return model.eval(), [files[k] for k in held], inputs


def peers(model: nn.Module, inputs: Tensor, classes: Tensor) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def large(maps: Tensor) -> Tensor:
        return nn.functional.interpolate(maps.detach(), size=tuple(inputs.shape[2:]), mode="bilinear")[:, 0]

    yield "Captum IntegratedGradients, 50 steps", lambda: torch.cat([
        IntegratedGradients(model).attribute(x, target=c, internal_batch_size=25).sum(1).float()
        for x, c in zip(inputs.split(1), classes.split(1), strict=True)
    ])  # fmt: skip
    yield (
        "Captum LayerGradCam bn2",
        lambda: large(LayerGradCam(model, model.get_submodule("bn2")).attribute(inputs, target=classes)),
    )
    for window in (32, 56):
        yield f"Captum Occlusion {window}/{window // 2}", lambda window=window: Occlusion(model).attribute(
            inputs, sliding_window_shapes=(3, window, window), strides=(3, window // 2, window // 2), target=classes,
            baselines=0, perturbations_per_eval=4,
        ).sum(1)  # fmt: skip
    targets = [ClassifierOutputTarget(int(c)) for c in classes]
    for name in ("GradCAM", "GradCAMPlusPlus", "HiResCAM", "LayerCAM"):
        for layer in LAYERS:

            def cam(name: str = name, layer: str = layer) -> Tensor:
                with getattr(pytorch_grad_cam, name)(model=model, target_layers=[model.get_submodule(layer)]) as made:
                    return torch.from_numpy(made(input_tensor=inputs, targets=targets))

            yield f"grad-cam {name} {layer}", cam


def compare(title: str, model: nn.Module, inputs: Tensor, calibration: Tensor) -> None:
    deletion = Deletion()
    with torch.no_grad():
        scores, others = model(inputs), model(calibration)
    classes, count = scores.argmax(1), scores.shape[1]
    weights = class_weights(classes, count)
    structure = find_structure(model, inputs)
    few = class_weights(others.argmax(1), count)
    choice = choose(
        model,
        Calibration(inputs=calibration, weights=few, structure=structure, how=deletion),
    )
    print(f"\n## {title}: {len(inputs)} images; auto chose {choice.method} on {len(calibration)} others\n")
    columns = ("method", "mean gain", "standard error", "auto minus it, 95 % interval", "seconds an image")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    ours = None
    methods = [("auto", lambda: attribute(model, inputs, weights, method=choice.method, structure=structure).maps)]
    for name, work in [*methods, *peers(model, inputs, classes)]:
        start = time.perf_counter()
        maps = work()
        seconds = (time.perf_counter() - start) / len(inputs)
        gain = relevance_gain(model, inputs, weights, maps.float(), deletion).value
        ours = gain if ours is None else ours
        paired = ours - gain
        half = 1.96 * paired.std(ddof=1) / len(paired) ** 0.5
        low, high = paired.mean() - half, paired.mean() + half
        shown = "" if name == "auto" else f"{paired.mean():+.2f} ({low:+.2f} to {high:+.2f})"
        error = gain.std(ddof=1) / len(gain) ** 0.5
        print(f"| {name} | {gain.mean():.2f} | {error:.2f} | {shown} | {seconds:.3f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--calibration", type=int, default=12)
    arguments = parser.parse_args()
    for number, root in enumerate(arguments.data):
        model, held, inputs = fitted(root)
        pick = np.random.default_rng(1).permutation(len(held))[: arguments.images + arguments.calibration]
        some, few = (inputs([held[k] for k in part]) for part in (pick[: arguments.images], pick[arguments.images :]))
        compare(f"{root.name}, fitted head", model, some, few)
        if number == 0:
            compare(f"{root.name}, ImageNet head", load(card("efficientnet_lite0")).eval(), some, few)


if __name__ == "__main__":
    main()
