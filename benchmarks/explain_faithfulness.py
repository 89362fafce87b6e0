"""Mean symmetric relevance gain of ``auto`` against Captum's and grad-cam's methods, on the same images.

    python -m benchmarks.explain_faithfulness CLOTHING SIGN_DIGITS --images 48 --out rows.jsonl

Three models for each data set: the bundled EfficientNet-Lite0 with its ImageNet head; the same with a head fitted on
the data's own classes; and ``zoo finetune --full --time 3m``, made here where ``--runs`` holds none. Explained are
images that the last two were not fitted on. ``auto`` chooses on other images than those that are compared. Each row
(data, model, seed, method) is written as soon as it is there, with the gain of each image, and read back the next time:
the benchmark may be stopped and started again. Intervals by bootstrap over the images, paired. ``--report`` only prints
what there is. Needs ``pip install grad-cam``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerGradCam, Occlusion
from PIL import Image
from torch import Tensor, nn

import zoo
import zoo.data
from explain import Deletion, attribute, class_weights, find_structure, relevance_gain
from explain.choice import Calibration, choose
from zoo.catalog import card
from zoo.classifier import embed, set_head
from zoo.run import Run
from zoo.weights import load

MODEL = "efficientnet_lite0"
#: What their users point them at: the last block and the last feature map.
LAYERS = ("blocks.6", "bn2")
#: Images that a peer gets at a time: grad-cam and Captum keep the graph of them all.
PART = 12


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model, and images that it was not fitted on."""

    data: str
    name: str
    model: nn.Module
    inputs: Tensor
    calibration: Tensor
    seed: int


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

    yield (
        "Captum LayerGradCam bn2",
        lambda: large(LayerGradCam(model, model.get_submodule("bn2")).attribute(inputs, target=classes)),
    )
    targets = [ClassifierOutputTarget(int(c)) for c in classes]
    for name in ("GradCAM", "GradCAMPlusPlus", "HiResCAM", "LayerCAM"):
        for layer in LAYERS:

            def cam(name: str = name, layer: str = layer) -> Tensor:
                with getattr(pytorch_grad_cam, name)(model=model, target_layers=[model.get_submodule(layer)]) as made:
                    return torch.from_numpy(made(input_tensor=inputs, targets=targets))

            yield f"grad-cam {name} {layer}", cam
    for window in (32, 56):
        yield f"Captum Occlusion {window}/{window // 2}", lambda window=window: Occlusion(model).attribute(
            inputs, sliding_window_shapes=(3, window, window), strides=(3, window // 2, window // 2), target=classes,
            baselines=0, perturbations_per_eval=4,
        ).sum(1)  # fmt: skip
    yield "Captum IntegratedGradients, 50 steps", lambda: torch.cat([
        IntegratedGradients(model).attribute(x, target=c, internal_batch_size=25).sum(1).float()
        for x, c in zip(inputs.split(1), classes.split(1), strict=True)
    ])  # fmt: skip


def finetuned(root: Path, runs: Path) -> Run:
    """Three minutes of full fine-tuning."""
    folder = runs / root.name
    if not folder.exists():
        return zoo.finetune(MODEL, root, out=folder, recipe="finetune", time="3m")
    return Run.open(folder)


def subjects(root: Path, arguments: argparse.Namespace, seed: int) -> Iterator[tuple[str, Callable[[], Subject]]]:
    def made(name: str, model: nn.Module, held: list[Path], preprocess: Any) -> Subject:
        drawn = np.random.default_rng(seed).permutation(len(held))[: arguments.images + arguments.calibration]
        pixels = [preprocess.pixels(Image.open(held[k]).convert("RGB")) for k in drawn]
        inputs = preprocess.normalise(torch.from_numpy(np.stack(pixels))).contiguous()
        return Subject(
            data=root.name, name=name, model=model, seed=seed,
            inputs=inputs[: arguments.images], calibration=inputs[arguments.images :],
        )  # fmt: skip

    def full() -> Subject:
        run = finetuned(root, arguments.runs)
        data = run.dataset()
        held = [
            data.file(data.samples[k])
            for k in (data.indices("test") if len(data.indices("test")) else data.indices("val"))
        ]
        return made("fine-tuned", run.module().eval(), held, run.preprocess)

    def head() -> Subject:
        model, held, _ = fitted(root)
        return made("fitted head", model, held, card(MODEL).preprocess)

    def imagenet() -> Subject:
        data = zoo.data.read(root)
        files = [data.file(s) for s in data.samples]
        return made("ImageNet head", load(card(MODEL)).eval(), files, card(MODEL).preprocess)

    yield "fine-tuned", full
    yield "fitted head", head
    yield "ImageNet head", imagenet


def measure(subject: Subject, wanted: Callable[[str], bool], write: Callable[[dict[str, Any]], None]) -> None:
    model, inputs, deletion = subject.model, subject.inputs, Deletion()
    with torch.no_grad():
        classes, others = (
            torch.cat([model(part).argmax(1) for part in images.split(4)]) for images in (inputs, subject.calibration)
        )
        count = model(inputs[:1]).shape[1]
    weights, structure = class_weights(classes, count), find_structure(model, inputs)

    def auto() -> tuple[Tensor, str]:
        few = class_weights(others, count)
        calibration = Calibration(inputs=subject.calibration, weights=few, structure=structure, how=deletion)
        method = choose(model, calibration).method
        return attribute(model, inputs, weights, method=method, structure=structure).maps, method

    work: dict[str, Callable[[], tuple[Tensor, str]]] = {"auto": auto}
    for number, (name, _) in enumerate(peers(model, inputs[:1], classes[:1])):

        def theirs(number: int = number) -> tuple[Tensor, str]:
            parts = zip(inputs.split(PART), classes.split(PART), strict=True)
            return torch.cat([list(peers(model, x, c))[number][1]().float() for x, c in parts]), ""

        work[name] = theirs
    for name, make in work.items():
        if not wanted(name):
            continue
        start = time.process_time()
        maps, chosen = make()
        seconds = (time.process_time() - start) / len(inputs)
        gain = relevance_gain(model, inputs, weights, maps.detach(), deletion).value
        write({"method": name, "chosen": chosen, "seconds": seconds, "gain": gain.tolist()})


def interval(values: np.ndarray, draws: int = 4000) -> tuple[float, float]:
    """95 % of the mean by bootstrap over images."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(0, len(values), (draws, len(values)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def report(rows: list[dict[str, Any]]) -> None:
    for data, model in dict.fromkeys((r["data"], r["model"]) for r in rows):
        some = [r for r in rows if (r["data"], r["model"]) == (data, model)]
        gains: dict[str, dict[int, list[float]]] = {}
        for row in some:
            gains.setdefault(row["method"], {})[row["seed"]] = row["gain"]
        chosen = ", ".join(sorted({r["chosen"] for r in some if r["chosen"]}))
        print(f"\n## {data}, {model}; auto chose {chosen or 'nothing yet'}\n")
        print("| method | images | mean gain, 95 % interval | auto minus it, 95 % interval | processor s an image |")
        print("|---|---|---|---|---|")
        for name, found in sorted(gains.items(), key=lambda item: -float(np.mean(np.concatenate([*item[1].values()])))):
            values = np.concatenate([*found.values()])
            low, high = interval(values)
            paired = [np.subtract(gains["auto"][s], found[s]) for s in found if s in gains.get("auto", {})]
            against = ""
            if paired and name != "auto":
                both = np.concatenate(paired)
                against = "{:+.2f} ({:+.2f} to {:+.2f})".format(both.mean(), *interval(both))
            seconds = np.mean([r["seconds"] for r in some if r["method"] == name])
            print(
                f"| {name} | {len(values)} | {values.mean():.2f} ({low:.2f} to {high:.2f}) | {against} | {seconds:.2f} |"
            )


def read_rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", nargs="*", type=Path)
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--calibration", type=int, default=16)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--runs", type=Path, default=Path("runs-faithfulness"))
    parser.add_argument("--out", type=Path, default=Path("explain_faithfulness.jsonl"))
    parser.add_argument("--only", default="", help="Models whose name holds this.")
    parser.add_argument("--method", default="", help="Methods whose name holds this.")
    parser.add_argument("--report", action="store_true", help="Measure nothing.")
    arguments = parser.parse_args()
    for root in [] if arguments.report else arguments.data:
        for seed in arguments.seeds:
            for name, make in subjects(root, arguments, seed):
                if arguments.only not in name:
                    continue
                key = {"data": root.name, "model": name, "seed": seed}
                done = {r["method"] for r in read_rows(arguments.out) if all(r[k] == v for k, v in key.items())}

                def write(row: dict[str, Any], key: dict[str, Any] = key) -> None:
                    with arguments.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(key | row) + "\n")
                    print(key["data"], key["model"], row["method"], f"{np.mean(row['gain']):.3f}", flush=True)

                def wanted(method: str, done: set[str] = done) -> bool:
                    return arguments.method in method and method not in done

                measure(make(), wanted, write)
    report(read_rows(arguments.out))


if __name__ == "__main__":
    main()
