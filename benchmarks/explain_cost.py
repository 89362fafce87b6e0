"""What a heatmap costs, in batched forward passes of the same model, and against grad-cam. Medians; one run,
interleaved.

python benchmarks/explain_cost.py --threads 2 --repeats 5
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import pytorch_grad_cam
import timm
import torch
from captum.attr import LayerGradCam
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from explain import METHODS, Deletion, attribute, class_weights, find_structure, relevance_gain
from explain.attribution import Task
from explain.isolation import isolated
from explain.methods.integrated_gradients import IntegratedGradients
from zoo.catalog import card
from zoo.weights import load


def medians(work: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each, taken in turns so that a busy machine slows all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats + 1):
        for name, call in work.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


def table(title: str, model: nn.Module, count: int, repeats: int, layer: str | None) -> None:
    inputs = torch.randn(count, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    classes = torch.arange(count)
    weights = class_weights(classes, 1000)
    structure = find_structure(model, inputs)
    targets = [ClassifierOutputTarget(int(c)) for c in classes]

    def forward() -> None:
        with torch.no_grad():
            model(inputs)

    def by(name: str) -> Callable[[], object]:
        return lambda: attribute(model, inputs, weights, method=name, structure=structure)

    def gradients(steps: int) -> Callable[[], object]:
        def work() -> None:
            with isolated(model):
                task = Task(model=model, structure=structure, inputs=inputs.clone(), weights=weights)
                IntegratedGradients(steps=steps, tolerance=1e9).attribute(task)

        return work

    def there_and_back() -> None:
        with isolated(model):
            some = inputs.clone().requires_grad_()
            torch.autograd.grad((model(some) * weights).sum(), some)

    work: dict[str, Callable[[], object]] = {"forward": forward, "forward and backward": there_and_back}
    work |= {
        name: by(name)
        for name in ("hirescam", "gradcam", "marginal-cam", "legrad", "gae")
        if not METHODS[name].obstacle(structure)
    }
    work["integrated gradients, 10 steps"] = gradients(10)
    maps = torch.rand(count, 224, 224)
    work["gain, T = 10"] = lambda: relevance_gain(model, inputs, weights, maps, Deletion())
    if layer:
        module = model.get_submodule(layer)

        def peer() -> None:
            with pytorch_grad_cam.GradCAM(model=model, target_layers=[module]) as cam:
                cam(input_tensor=inputs, targets=targets)

        work["grad-cam GradCAM"] = peer
        work["Captum LayerGradCam"] = lambda: LayerGradCam(model, module).attribute(inputs, target=classes)
    found = medians(work, repeats)
    print(f"\n## {title}, {count} images, {torch.get_num_threads()} threads\n")
    print("| | seconds | forward passes an image |\n|---|---|---|")
    for name, seconds in found.items():
        print(f"| {name} | {seconds:.2f} | {seconds / found['forward']:.2f} |")
    if layer:
        print(f"\ngrad-cam takes {found['grad-cam GradCAM'] / found['gradcam']:.1f} x as long as ours.")
    pair = found["forward and backward"]
    print(f"IG-10 over 10 (F + B): {found['integrated gradients, 10 steps'] / (10 * pair):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", type=int, default=16)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    lite = load(card("efficientnet_lite0")).eval().to(memory_format=torch.channels_last)
    table("EfficientNet-Lite0", lite, arguments.images, arguments.repeats, "bn2")
    vit = timm.create_model("vit_tiny_patch16_224", pretrained=False).eval()
    table("ViT-Tiny", vit, arguments.images, arguments.repeats, None)


if __name__ == "__main__":
    main()
