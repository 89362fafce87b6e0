"""Pointing game and foreground share: photographs placed small on microscope pictures, so that their boxes are known.

The model is Lite0 with a head fitted on the photographs; only pictures whose class it still finds are counted.

    python -m benchmarks.explain_boxes PHOTOGRAPHS BACKGROUNDS --images 24
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.explain_faithfulness import fitted, peers
from explain import Deletion, attribute, class_weights, find_structure
from explain.boxes import located
from explain.choice import Calibration, choose
from zoo.catalog import card

SIDE, OBJECT = 224, 112


def placed(files: list[Path], grounds: list[Path], seed: int = 0) -> tuple[Tensor, np.ndarray]:
    """Inputs, and the masks of the photographs in them."""
    rng = np.random.default_rng(seed)
    facts = card("efficientnet_lite0")
    pixels, masks = [], np.zeros((len(files), SIDE, SIDE), dtype=bool)
    for k, file in enumerate(files):
        ground = Image.open(grounds[int(rng.integers(len(grounds)))]).convert("RGB").resize((SIDE, SIDE))
        top, left = (int(v) for v in rng.integers(0, SIDE - OBJECT, 2))
        ground.paste(Image.open(file).convert("RGB").resize((OBJECT, OBJECT)), (left, top))
        masks[k, top : top + OBJECT, left : left + OBJECT] = True
        pixels.append(np.asarray(ground))
    return facts.preprocess.normalise(torch.from_numpy(np.stack(pixels))), masks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("backgrounds", type=Path)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--skip", default="nothing", help="Leave out peers whose name holds this.")
    arguments = parser.parse_args()
    model, held, _ = fitted(arguments.photographs)
    grounds = sorted(arguments.backgrounds.rglob("*.jpg"))
    inputs, masks = placed(held[: 3 * arguments.images], grounds)
    wanted = [arguments.photographs / f.relative_to(arguments.photographs).parts[0] for f in held]
    names = sorted({w.name for w in wanted})
    with torch.no_grad():
        classes = torch.cat([model(part).argmax(1) for part in torch.split(inputs, 32)])
    right = [k for k in range(len(inputs)) if names[int(classes[k])] == wanted[k].name][: arguments.images]
    inputs, masks, classes = inputs[right], masks[right], classes[right]
    weights = class_weights(classes, len(names))
    structure = find_structure(model, inputs)
    few = Calibration(inputs=inputs[:6], weights=weights[:6], structure=structure, how=Deletion())
    method = choose(model, few).method
    print(f"{len(right)} pictures; the object takes {masks.mean():.0%}; auto chose {method}\n")
    print("| method | pointing game | relevance on the object |\n|---|---|---|")
    ours = ("auto", lambda: attribute(model, inputs, weights, method=method, structure=structure).maps)
    for name, work in [ours, *peers(model, inputs, classes)]:
        if arguments.skip in name:
            continue
        scores = [located(m.float().detach().numpy(), mask) for m, mask in zip(work(), masks, strict=True)]
        hits, share = np.mean([s.hit for s in scores]), np.mean([s.foreground for s in scores])
        print(f"| {name} | {hits:.0%} | {share:.0%} |", flush=True)


if __name__ == "__main__":
    main()
