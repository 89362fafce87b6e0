"""Do quicker engines change what the probe sees? Features and cross-validated probe accuracy of each, beside float32's.

    python -m benchmarks.engines DATA... [--model NAME] [--engines NAME...] [--images N]

Agreement is the cosine between an image's features from the engine and from plain float32; accuracies are of the same
images and folds.
"""

from __future__ import annotations

import argparse
import os
import tempfile

import numpy as np

from zoo.catalog import card
from zoo.data import folds, read
from zoo.features import embed
from zoo.probe import probe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", nargs="+")
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--engines", nargs="+", default=["float32", "bfloat16", "openvino"], help="float32 first")
    parser.add_argument("--images", type=int, default=0, help="only so many of each, evenly spread; 0 for all")
    options = parser.parse_args()
    model = card(options.model)
    print(f"{'data':<14} {'engine':<10} {'images':>7} {'least cosine':>13} {'median':>8} {'accuracy':>9} {'points':>7}")
    for source in options.data:
        dataset = read(source)
        count = options.images or len(dataset)
        part = dataset.select(np.unique(np.linspace(0, len(dataset) - 1, count, dtype=int)))
        exact: np.ndarray | None = None
        for name in options.engines:
            with tempfile.TemporaryDirectory() as cache:
                os.environ.update(ZOO_CACHE=cache, ZOO_ENGINE=name)
                found = embed(part, [model])
                x, y = found.matrix(model.name), found.dataset.labels
            result = probe(x, y, len(dataset.classes), folds=folds(y, np.arange(len(y)), 5, 0))
            wide = x.astype(np.float64)
            unit = wide / np.linalg.norm(wide, axis=1, keepdims=True)
            if exact is None:
                exact, reference = unit, result.accuracy
            cosine = (unit * exact).sum(axis=1)
            points = (result.accuracy - reference) * 100
            print(
                f"{dataset.name:<14} {name:<10} {len(y):>7} {cosine.min():>13.5f} {np.median(cosine):>8.5f}"
                f" {result.accuracy:>9.4f} {points:>+7.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
