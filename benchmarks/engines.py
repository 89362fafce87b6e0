"""Do the engines change what the probe sees? Features and cross-validated probe accuracy of each, beside the model's own.

    python -m benchmarks.engines DATA... [--model NAME] [--engines NAME...] [--images N]

The reference is the model as it is loaded, in float32, run by PyTorch image by image; kept as half precision, as all
features are. Agreement is the cosine between an image's features from the engine and from the reference; accuracies
are of the same images and folds.
"""

from __future__ import annotations

import argparse
import os
import tempfile

import numpy as np
import torch

from zoo import lanes, weights
from zoo.card import Card
from zoo.catalog import card
from zoo.classifier import embed as embed_batch
from zoo.data import Dataset, folds, read
from zoo.data.decode import decode
from zoo.features import embed
from zoo.predict import decoded_side
from zoo.probe import probe


def eager(dataset: Dataset, model: Card) -> np.ndarray:
    """Features of every image by the model as it is loaded, ``(n, d)``."""
    module, side = weights.load(model), decoded_side(model.preprocess)
    rows: list[np.ndarray] = [np.zeros(0)] * len(dataset)

    @torch.inference_mode()
    def work(number: int) -> int:
        image = decode(dataset.file(dataset.samples[number]).read_bytes(), short_side=side)
        pixels = torch.from_numpy(model.preprocess.pixels(image)[None].copy())
        rows[number] = embed_batch(module, model.preprocess.normalise(pixels))[0].numpy().astype(np.float16)
        return 1

    # One lane: the features are caught by a hook.
    lanes.run(work, range(len(dataset)), lanes=1, done=lambda _: None)
    return np.stack(rows)


def by_engine(dataset: Dataset, model: Card, name: str) -> np.ndarray:
    """Features of every image by the pass with this engine, ``(n, d)``."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ.update(ZOO_CACHE=cache, ZOO_ENGINE=name)
        return embed(dataset, [model]).matrix(model.name)


def unit(x: np.ndarray) -> np.ndarray:
    wide = x.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def compare(dataset: Dataset, model: Card, engines: list[str]) -> None:
    """A line for the reference and for each engine."""
    y = dataset.labels
    number = folds(y, np.arange(len(y)), 5, 0)
    exact = eager(dataset, model)
    reference = probe(exact, y, len(dataset.classes), folds=number).accuracy
    for name in ("(reference)", *engines):
        x = exact if name == "(reference)" else by_engine(dataset, model, name)
        cosine = (unit(x) * unit(exact)).sum(axis=1)
        accuracy = probe(x, y, len(dataset.classes), folds=number).accuracy
        print(
            f"{dataset.name:<14} {name:<12} {len(y):>7} {cosine.min():>13.5f} {np.median(cosine):>8.5f}"
            f" {accuracy:>9.4f} {(accuracy - reference) * 100:>+7.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", nargs="+", help="without unusable files")
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--engines", nargs="+", default=["float32", "bfloat16", "openvino"])
    parser.add_argument("--images", type=int, default=0, help="only so many of each, evenly spread; 0 for all")
    options = parser.parse_args()
    print(f"{'data':<14} {'engine':<12} {'images':>7} {'least cosine':>13} {'median':>8} {'accuracy':>9} {'points':>7}")
    for source in options.data:
        dataset = read(source)
        count = options.images or len(dataset)
        part = dataset.select(np.unique(np.linspace(0, len(dataset) - 1, count, dtype=int)))
        compare(part, card(options.model), options.engines)


if __name__ == "__main__":
    main()
