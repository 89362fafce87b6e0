"""How often a badge is wrong: maps that know nothing of their image, judged like any other.

    python -m benchmarks.explain_badge PHOTOGRAPHS --images 48 --calibration 32

The bundled Lite0 with its ImageNet head; HiResCAM. The null is measured on the calibration images, and the maps judged
belong to others: of the other images, the same mirrored, a centred blob, blurred noise. The badge promises that at most
one in twenty of them is called faithful. The images' own maps stand in the first row.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from explain import Badge, Deletion, attribute, class_weights, find_structure, relevance_gain
from explain.faithfulness import Meter
from explain.null import badges, centre_gaussian, matched_null
from zoo.catalog import card
from zoo.weights import load


def photographs(root: Path, count: int, seed: int) -> Tensor:
    files = sorted(root.rglob("*.jpg")) + sorted(root.rglob("*.JPG"))
    drawn = np.random.default_rng(seed).permutation(len(files))[:count]
    preprocess = card("efficientnet_lite0").preprocess
    pixels = [preprocess.pixels(Image.open(files[k]).convert("RGB")) for k in drawn]
    return preprocess.normalise(torch.from_numpy(np.stack(pixels))).contiguous()


def blurred_noise(like: Tensor) -> Tensor:
    noise = torch.randn(len(like), 1, 7, 7, generator=torch.Generator().manual_seed(0))
    return nn.functional.interpolate(noise, size=tuple(like.shape[1:]), mode="bilinear")[:, 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--calibration", type=int, default=32)
    parser.add_argument("--method", default="hirescam")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    model, how = load(card("efficientnet_lite0")).eval(), Deletion()
    inputs = photographs(arguments.photographs, arguments.images + arguments.calibration, arguments.seed)
    structure = find_structure(model, inputs)
    with torch.no_grad():
        classes = torch.cat([model(part).argmax(1) for part in inputs.split(4)])
    weights = class_weights(classes, 1000)
    maps = attribute(model, inputs, weights, method=arguments.method, structure=structure).maps
    few, rest = slice(0, arguments.calibration), slice(arguments.calibration, None)
    null = matched_null(Meter(model, inputs[few], weights[few], passes=1000), maps[few], how)
    own = maps[rest]
    judged = {
        "the image's own": own,
        "of another image": own.roll(1, 0),
        "of another image, mirrored": own.roll(7, 0).flip(2),
        "a centred blob": centre_gaussian(*own.shape[1:]).expand_as(own),
        "blurred noise": blurred_noise(own),
    }
    print(f"{len(own)} images, {len(null.shares)} null maps, {arguments.method}\n")
    print("| map | faithful | weak | no better than null | mean z |\n|---|---|---|---|---|")
    for name, these in judged.items():
        gain = relevance_gain(model, inputs[rest], weights[rest], these, how)
        words = badges(gain, null)
        shares = [f"{words.count(b) / len(words):.1%}" for b in (Badge.FAITHFUL, Badge.WEAK, Badge.NO_BETTER_THAN_NULL)]
        print(f"| {name} | {' | '.join(shares)} | {null.z(gain).mean():.2f} |", flush=True)


if __name__ == "__main__":
    main()
