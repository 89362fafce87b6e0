"""How often a badge is wrong: maps that know nothing of their image, judged like any other.

    python -m benchmarks.explain_badge PHOTOGRAPHS --images 72 --draws 12

The bundled Lite0 with its ImageNet head. Again and again 39 images are drawn for the null, with maps of as many
of them as a choice is judged on, and the maps of the rest are judged against it: of other images, the same mirrored, a centred blob, blurred
noise. The badge promises that at most one in twenty of them is called faithful. The images' own maps stand in the first
row. How far the share of faithful ones varies from one null to the next stands in brackets (standard deviation).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from explain import Badge, Deletion, ExplainSettings, attribute, class_weights, find_structure
from explain.choice import JUDGED
from explain.faithfulness import Gain, Meter
from explain.null import badges, centre_gaussian, matched_null
from zoo.catalog import card
from zoo.weights import load

CALIBRATION = ExplainSettings().calibration


def photographs(root: Path, count: int, seed: int) -> Tensor:
    files = sorted(root.rglob("*.jpg")) + sorted(root.rglob("*.JPG"))
    drawn = np.random.default_rng(seed).permutation(len(files))[:count]
    preprocess = card("efficientnet_lite0").preprocess
    pixels = [preprocess.pixels(Image.open(files[k]).convert("RGB")) for k in drawn]
    return preprocess.normalise(torch.from_numpy(np.stack(pixels))).contiguous()


def blurred_noise(like: Tensor) -> Tensor:
    noise = torch.randn(len(like), 1, 7, 7, generator=torch.Generator().manual_seed(0))
    return nn.functional.interpolate(noise, size=tuple(like.shape[1:]), mode="bilinear")[:, 0]


def rest_of(gain: Gain, rest: np.ndarray) -> Gain:
    return Gain(value=gain.value[rest], span=gain.span[rest], blank=gain.blank[rest], half=gain.half[rest])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--images", type=int, default=72)
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--method", default="hirescam")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    model, how = load(card("efficientnet_lite0")).eval(), Deletion()
    inputs = photographs(arguments.photographs, arguments.images, arguments.seed)
    structure = find_structure(model, inputs)
    with torch.no_grad():
        classes = torch.cat([model(part).argmax(1) for part in inputs.split(4)])
    weights = class_weights(classes, 1000)
    own = attribute(model, inputs, weights, method=arguments.method, structure=structure).maps
    judged = {
        "the image's own": own,
        "of another image": own.roll(1, 0),
        "of another image, mirrored": own.roll(7, 0).flip(2),
        "a centred blob": centre_gaussian(*own.shape[1:]).expand_as(own),
        "blurred noise": blurred_noise(own),
    }
    meter = Meter(model, inputs, weights, passes=10_000)
    gains = {name: meter.gain(these, how.halved) for name, these in judged.items()}
    gains = {name: Gain(value=g.value, span=g.span, blank=g.blank, half=g.share) for name, g in gains.items()}
    found: dict[str, list[list[Badge]]] = {name: [] for name in judged}
    for draw in range(arguments.draws):
        drawn = np.random.default_rng(draw).permutation(len(inputs))
        few, rest = drawn[:CALIBRATION], drawn[CALIBRATION:]
        null = matched_null(Meter(model, inputs[few], weights[few], passes=1000), own[few[:JUDGED]], how, seed=draw)
        for name, gain in gains.items():
            found[name].append(badges(rest_of(gain, rest), null))
    count = arguments.draws * (len(inputs) - CALIBRATION)
    print(
        f"{arguments.draws} nulls of {CALIBRATION} images each, {count} maps of each kind judged, {arguments.method}\n"
    )
    print("| map | faithful | weak | no better than null |\n|---|---|---|---|")
    for name, words in found.items():
        shares = {b: np.array([w.count(b) / len(w) for w in words]) for b in Badge}
        cells = [f"{shares[b].mean():.1%}" for b in (Badge.FAITHFUL, Badge.WEAK, Badge.NO_BETTER_THAN_NULL)]
        cells[0] += f" ({shares[Badge.FAITHFUL].std(ddof=1):.1%})"
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
