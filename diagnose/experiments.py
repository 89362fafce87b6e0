"""The controls: what known-good and deliberately spoilt experiments give, to compare everything else with."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from diagnose import linear
from diagnose.comparison import accuracy
from diagnose.context import Context
from diagnose.findings import Control, Estimate
from zoo import cache
from zoo.data import Dataset, Sample, folds
from zoo.neighbours import reduce

POSITIVE_LINE = 0.8  # a frozen EfficientNet-Lite0 reaches 0.91 on the reference images, chance 0.1
_IMAGES = 400
_SIDE = 64  # pixels of the reference images
#: Features of a data set, ``(n, d)``, by the known-good model.
Embed = Callable[[Dataset], npt.NDArray[np.floating]]


def reference(context: Context) -> Control:
    """Cell B: a probe on the best backbone, judged on held-out pictures."""
    start = time.perf_counter()
    best = context.best
    return Control(
        name="reference",
        accuracy=accuracy(context.correct(best)[context.held_out]),
        seconds=time.perf_counter() - start,
        detail=f"probe on {best}",
    )


def majority(context: Context) -> Control:
    """Always the class that is most frequent in training."""
    most = int(np.bincount(context.labels[context.train], minlength=context.num_classes).argmax())
    return Control(
        name="majority",
        accuracy=accuracy(context.labels[context.held_out] == most),
        detail=f"always {context.dataset.classes[most]!r}",
    )


def shuffled_labels(context: Context, *, seeds: int = 3) -> Control:
    """Cell B with the labels shuffled: what chance and the pipeline's own leaks give. The interval is of one repeat."""
    start = time.perf_counter()
    truth_of = []
    for seed in range(seeds):
        shuffled = np.random.default_rng(context.seed + seed).permutation(context.labels)
        truth_of.append(context.trial(labels=shuffled) == shuffled[context.held_out])
    return Control(
        name="shuffled-labels",
        accuracy=_repeated(truth_of),
        seeds=seeds,
        seconds=time.perf_counter() - start,
        detail="the reference, its labels shuffled",
    )


def random_resplit(context: Context, *, seeds: int = 3) -> Control:
    """Cell B on random splits in place of the given ones, cross-validated."""
    start = time.perf_counter()
    right = []
    for seed in range(seeds):
        fold = folds(context.labels, context.groups, 5, context.seed + seed)
        x = context.reduced(context.best)
        right.append(linear.cross_predict(x, context.labels, fold, context.num_classes) == context.labels)
    return Control(
        name="random-resplit",
        accuracy=_repeated(right),
        seeds=seeds,
        seconds=time.perf_counter() - start,
        detail="the reference on random splits",
    )


def positive_control(embed: Embed, *, identity: str) -> Control:
    """Cell A: the known-good model on scikit-learn's handwritten digits, rendered as pictures.

    The result is kept for as long as neither the model nor the installed packages change.

    Args:
        embed: The very function that embeds the person's pictures, so that all of it is put to the test.
        identity: Names the exact weights.
    """
    note = f"diagnose/positive-control-{_fingerprint(identity)}.json"
    known = _recall(note)
    if known is not None:
        return known
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="zoovet-") as folder:
        dataset = render_digits(Path(folder), _IMAGES)
        x = reduce(embed(dataset))
    fold = folds(dataset.labels, None, 5, 0)
    right = linear.cross_predict(x, dataset.labels, fold, len(dataset.classes)) == dataset.labels
    control = Control(
        name="positive-control",
        accuracy=accuracy(right),
        seconds=time.perf_counter() - start,
        detail=f"{len(dataset)} of scikit-learn's digits",
    )
    _remember(note, control)
    return control


def render_digits(folder: Path, count: int) -> Dataset:
    """Scikit-learn's digits (Alpaydin and Kaynak 1998, CC BY 4.0) as PNG pictures of 64 pixels in class folders."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    names = tuple(str(digit) for digit in range(10))
    chosen = np.random.default_rng(0).permutation(len(digits.target))[:count]
    samples = []
    for number, index in enumerate(sorted(int(i) for i in chosen)):
        label = int(digits.target[index])
        path = f"{label}/{number:04d}.png"
        (folder / str(label)).mkdir(exist_ok=True)
        ink = Image.fromarray(np.uint8(255 - digits.images[index] * 15.9))
        ink.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).convert("RGB").save(folder / path)
        samples.append(Sample(path=path, label=label))
    return Dataset(root=folder, samples=tuple(sorted(samples, key=lambda s: s.path)), classes=names, name="digits")


def _repeated(right: Sequence[npt.NDArray[np.bool_]]) -> Estimate:
    """Mean over repeats on the same pictures, with the interval of a single repeat: the repeats are not independent."""
    single = accuracy(right[0])
    mean = float(np.mean(right))
    return Estimate(
        value=mean, interval=(mean - (single.value - single.interval[0]), mean + (single.interval[1] - single.value))
    )


def _fingerprint(identity: str) -> str:
    packages = ("zoovet", "torch", "torchvision", "timm", "numpy", "pillow", "scikit-learn")
    parts = [identity, *(f"{package}={_version(package)}" for package in packages)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _recall(note: str) -> Control | None:
    def understand(known: Any) -> Control:
        estimate = Estimate(value=float(known["value"]), interval=(float(known["low"]), float(known["high"])))
        return Control(name="positive-control", accuracy=estimate, detail=f"{known['detail']} (measured before)")

    return cache.recall(note, understand)


def _remember(note: str, control: Control) -> None:
    low, high = control.accuracy.interval
    cache.remember(note, {"value": control.accuracy.value, "low": low, "high": high, "detail": control.detail})
