"""Every family of timm (one small architecture each) and every classifier of torchvision, with random weights.

Random weights: integrated gradients, the fallback, hardly ever add up on them, so its map is taken as it is after ten
steps; with its doublings up to 256 the benchmark would take most of its time there, and ask nothing else.

For each: does ``attribute`` give a finite map that is not constant, of the input's size, by a native method, or by a
fallback that is named? The same question for the defaults of Captum (LayerGradCam on the last convolution or block)
and of grad-cam (GradCAM on the same layer, no reshape transform), which know no layout.

    python -m benchmarks.explain_coverage --part timm --rows timm.jsonl --seconds 600    # again: goes on with the rest
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from benchmarks.rows import all_rows
from explain import attribute, class_weights, find_structure
from explain.attribution import METHODS
from explain.methods import integrated_gradients
from zoo.errors import ZooError

NATIVE = {"cnn": "hirescam", "hierarchical": "hirescam", "vit": "legrad", "unknown": "hirescam"}
MOST_PARAMETERS = 100e6
#: Attention matrices of larger images do not fit in 20 GB where they are all kept, as attention methods do.
MOST_SIDE = 512


def timm_models() -> Iterator[tuple[str, str]]:
    """The family and its smallest architecture by the pretrained input size and then by name's habit."""
    small = (
        "nano",
        "pico",
        "femto",
        "atto",
        "zepto",
        "tiny",
        "xxs",
        "xs",
        "_s",
        "small",
        "_0",
        "18",
        "b0",
        "050",
        "075",
    )
    for family in timm.list_modules():
        names = [n for n in timm.list_models(module=family) if not n.startswith("test_")]
        if names:
            yield family, min(names, key=lambda n: (-sum(word in n for word in small), len(n)))


def torchvision_models() -> Iterator[tuple[str, str]]:
    import torchvision

    for name in torchvision.models.list_models(module=torchvision.models):
        yield "torchvision", name


def build(source: str, name: str) -> tuple[nn.Module, int]:
    torch.manual_seed(0)
    if source == "torchvision":
        import torchvision

        options = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
        return torchvision.models.get_model(
            name, weights=None, **options
        ).eval(), 299 if name == "inception_v3" else 224
    model = timm.create_model(name, pretrained=False, num_classes=1000).eval()
    return model, model.pretrained_cfg["input_size"][-1]


def awake(model: nn.Module) -> nn.Module:
    """Some architectures start with a head of zeros: their score is constant, and there is nothing to explain."""
    for module in model.modules():
        if isinstance(module, nn.Linear) and not bool(module.weight.any()):
            nn.init.normal_(module.weight, std=0.02)
    return model


def usable(maps: Tensor, side: int) -> bool:
    return tuple(maps.shape[-2:]) == (side, side) and bool(torch.isfinite(maps).all()) and bool(maps.std() > 0)


def ours(model: nn.Module, inputs: Tensor) -> tuple[str, str]:
    weights = class_weights(torch.tensor([3]), 1000)
    structure = find_structure(model, inputs)
    name = NATIVE[structure.family]
    if METHODS[name].obstacle(structure):
        name = "hirescam"
    found = attribute(model, inputs, weights, method=name, structure=structure)
    verdict = ("fallback" if found.fallback else "native") if usable(found.maps, inputs.shape[-1]) else "bad"
    return verdict, f"{found.method} {found.layer} {found.fallback}"


def last_layer(model: nn.Module) -> nn.Module:
    """What their documentation tells to name: the last convolution, or the last block of a transformer."""
    blocks = getattr(model, "blocks", None)
    if isinstance(blocks, nn.Sequential) and hasattr(model, "patch_embed"):
        return blocks[-1]
    return [m for m in model.modules() if isinstance(m, nn.Conv2d)][-1]


def captum_default(model: nn.Module, inputs: Tensor) -> str:
    from captum.attr import LayerGradCam

    maps = LayerGradCam(model, last_layer(model)).attribute(inputs, target=3)
    return (
        "right"
        if maps.ndim == 4 and min(maps.shape[2:]) > 1 and bool(torch.isfinite(maps).all()) and bool(maps.std() > 0)
        else "silently wrong"
    )


def gradcam_default(model: nn.Module, inputs: Tensor) -> str:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with GradCAM(model=model, target_layers=[last_layer(model)]) as cam:
        maps = torch.from_numpy(cam(input_tensor=inputs, targets=[ClassifierOutputTarget(3)]))
    return "right" if usable(maps, inputs.shape[-1]) else "silently wrong"


def attempt(work: object, *arguments: object) -> str:
    try:
        return work(*arguments)  # type: ignore[operator]
    except Exception as error:  # noqa: BLE001 - a benchmark of what other libraries raise
        return f"raises {type(error).__name__}"


def look(source: str, name: str) -> dict[str, str]:
    """One line of the table; only a reason where the model cannot be built here or is too large."""
    row = {"family": source, "architecture": name}
    try:
        model, side = build(source, name)
        awake(model)
    except Exception as error:  # noqa: BLE001 - optional packages, sizes that do not fit
        return {**row, "left out": f"cannot be built ({type(error).__name__})"}
    is_large = sum(p.numel() for p in model.parameters()) > MOST_PARAMETERS or side > MOST_SIDE
    if is_large and source != "torchvision":
        return {**row, "left out": "too large for this benchmark"}
    inputs = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    start = time.perf_counter()
    try:
        verdict, how = ours(model, inputs)
    except ZooError as error:
        verdict, how = "refused", error.what
    theirs = {"Captum": attempt(captum_default, model, inputs), "grad-cam": attempt(gradcam_default, model, inputs)}
    return {**row, "ours": verdict, "how": how, **theirs, "seconds": f"{time.perf_counter() - start:.1f}"}


def summary(rows: list[dict[str, str]]) -> Iterator[str]:
    """The shares, in words."""
    seen = [row for row in rows if "ours" in row]
    total = max(1, len(seen))
    native, named = (sum(row["ours"] == word for row in seen) for word in ("native", "fallback"))
    yield f"{len(seen)} architectures: native {native} ({native / total:.0%}), named fallback {named}, other {len(seen) - native - named}"
    for library, method in (("Captum", "LayerGradCam"), ("grad-cam", "GradCAM")):
        right, wrong = (sum(row[library] == word for row in seen) for word in ("right", "silently wrong"))
        rest = len(seen) - right - wrong
        yield f"{library} {method}: a map {right} ({right / total:.0%}), silently wrong {wrong}, raises {rest}"
    for row in rows:
        if row.get("ours") != "native":
            yield f"{row['family']} {row['architecture']}: {row.get('left out') or row['ours'] + ', ' + row['how']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("timm", "torchvision"), default="timm")
    parser.add_argument("--seconds", type=float, default=1e9, help="Stop starting models after this long.")
    parser.add_argument("--rows", type=Path, required=True, help="One JSON line a model; those that are there stay.")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    integrated_gradients.MOST_STEPS = 10
    models = timm_models() if arguments.part == "timm" else torchvision_models()
    rows = all_rows(
        arguments.rows,
        models,
        lambda case: look(*case),
        case_of=lambda row: (row["family"], row["architecture"]),
        seconds=arguments.seconds,
    )
    print("\n".join(summary(rows)))


if __name__ == "__main__":
    main()
