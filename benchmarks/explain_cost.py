"""What a heatmap costs, in batched forward passes of the same model, and against grad-cam and Captum.

    python -m benchmarks.explain_cost --threads 2 --repeats 5

One run; the methods take turns, so that a busy machine slows all alike. Medians of the processor's seconds (of all
threads) and of the clock's; ratios are medians of the rounds' own ratios. GradCAM's maps are compared with grad-cam's,
which keep neither sign nor scale, after the same ReLU and scaling.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import timm
import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn

from explain import METHODS, Deletion, Structure, attribute, class_weights, find_structure, relevance_gain
from explain.attribution import Task
from explain.isolation import isolated
from explain.methods.integrated_gradients import IntegratedGradients
from zoo.catalog import card
from zoo.weights import load

CAMS = {"gradcam": "GradCAM", "hirescam": "HiResCAM"}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model, a batch and what is explained of it."""

    model: nn.Module
    inputs: Tensor
    classes: Tensor
    structure: Structure

    @property
    def weights(self) -> Tensor:
        return class_weights(self.classes, 1000)

    def ours(self, method: str) -> Tensor:
        return attribute(self.model, self.inputs, self.weights, method=method, structure=self.structure).maps

    def grad_cam(self, name: str) -> Tensor:
        import pytorch_grad_cam
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        layer = self.model.get_submodule(self.structure.sites[0].path)
        targets = [ClassifierOutputTarget(int(c)) for c in self.classes]
        with getattr(pytorch_grad_cam, name)(model=self.model, target_layers=[layer]) as cam:
            return torch.from_numpy(cam(input_tensor=self.inputs, targets=targets))

    def captum(self) -> Tensor:
        layer = self.model.get_submodule(self.structure.sites[0].path)
        return LayerGradCam(self.model, layer).attribute(self.inputs, target=self.classes)

    def forward(self) -> None:
        with torch.no_grad():
            self.model(self.inputs)

    def there_and_back(self) -> None:
        with isolated(self.model):
            some = self.inputs.clone().requires_grad_()
            torch.autograd.grad((self.model(some) * self.weights).sum(), some)

    def ten_steps(self) -> None:
        with isolated(self.model):
            task = Task(
                model=self.model, structure=self.structure, inputs=self.inputs.clone(), weights=self.weights
            )  # fmt: skip
            IntegratedGradients(steps=10, tolerance=1e9).attribute(task)

    def gain(self) -> None:
        maps = torch.rand(len(self.inputs), *self.inputs.shape[2:])
        relevance_gain(self.model, self.inputs, self.weights, maps, Deletion())


def work_on(subject: Subject, *, peers: bool) -> dict[str, Callable[[], object]]:
    def by(call: Callable[[str], Tensor], name: str) -> Callable[[], object]:
        return lambda: call(name)

    own = ("hirescam", "gradcam", "marginal-cam", "legrad", "gae")
    work: dict[str, Callable[[], object]] = {"forward": subject.forward, "forward and backward": subject.there_and_back}
    work |= {name: by(subject.ours, name) for name in own if not METHODS[name].obstacle(subject.structure)}
    work |= {"integrated gradients, 10 steps": subject.ten_steps, "gain, T = 10": subject.gain}
    if peers:
        work |= {f"grad-cam {name}": by(subject.grad_cam, name) for name in CAMS.values()}
        work["Captum LayerGradCam"] = subject.captum
    return work


def timed(work: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds of the processor and of the clock, for each round after the first, which warms up."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for _ in range(repeats + 1):
        for name, call in work.items():
            start = time.process_time(), time.perf_counter()
            call()
            seconds[name].append((time.process_time() - start[0], time.perf_counter() - start[1]))
    return {name: values[1:] for name, values in seconds.items()}


def ratio(found: dict[str, list[tuple[float, float]]], name: str, to: str, clock: int) -> float:
    return statistics.median(a[clock] / b[clock] for a, b in zip(found[name], found[to], strict=True))


def table(title: str, subject: Subject, repeats: int, *, peers: bool) -> None:
    found = timed(work_on(subject, peers=peers), repeats)
    print(f"\n## {title}, {len(subject.inputs)} images, {torch.get_num_threads()} threads\n")
    print("| | processor, s | clock, s | forward passes an image |\n|---|---|---|---|")
    for name, values in found.items():
        processor, clock = (statistics.median(v[k] for v in values) for k in (0, 1))
        print(f"| {name} | {processor:.2f} | {clock:.2f} | {ratio(found, name, 'forward', 0):.2f} |")
    steps = statistics.median(
        a[0] / (10 * b[0])
        for a, b in zip(found["integrated gradients, 10 steps"], found["forward and backward"], strict=True)
    )
    print(f"\nIG-10 over 10 (F + B): {steps:.2f}")
    if not peers:
        return
    for name, theirs in CAMS.items():
        processor, clock = (ratio(found, f"grad-cam {theirs}", name, k) for k in (0, 1))
        print(f"grad-cam {theirs} takes {processor:.1f} x the processor's time of ours, {clock:.1f} x the clock's.")
    print(f"Largest difference from grad-cam's GradCAM, both scaled to [0, 1]: {difference(subject):.1e}")


def difference(subject: Subject) -> float:
    def scaled(maps: Tensor) -> Tensor:
        maps = maps - maps.amin((1, 2), keepdim=True)
        return maps / maps.amax((1, 2), keepdim=True).clamp_min(1e-12)

    with isolated(subject.model):
        task = Task(model=subject.model, structure=subject.structure, inputs=subject.inputs, weights=subject.weights)
        ours = scaled(METHODS["gradcam"].attribute(task).maps.clamp_min(0))
    size = (subject.inputs.shape[2], subject.inputs.shape[3])
    ours = nn.functional.interpolate(ours[:, None], size=size, mode="bilinear")[:, 0]
    return float((scaled(ours) - scaled(subject.grad_cam("GradCAM"))).abs().max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--only", choices=("lite0", "vit"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    inputs = torch.randn(arguments.images, 3, 224, 224)
    classes = torch.arange(arguments.images)
    if arguments.only != "vit":
        lite = load(card("efficientnet_lite0")).eval().to(memory_format=torch.channels_last)
        last = inputs.contiguous(memory_format=torch.channels_last)
        subject = Subject(model=lite, inputs=last, classes=classes, structure=find_structure(lite, last))
        table("EfficientNet-Lite0", subject, arguments.repeats, peers=True)
    if arguments.only != "lite0":
        vit = timm.create_model("vit_tiny_patch16_224", pretrained=False).eval()
        subject = Subject(model=vit, inputs=inputs, classes=classes, structure=find_structure(vit, inputs))
        table("ViT-Tiny", subject, arguments.repeats, peers=False)


if __name__ == "__main__":
    main()
