"""Planted copies across splits: how many are found, how many others are called copies, and what 100,000 images cost.

    python -m benchmarks.leaks --data ../shared/data --copies 80
    python -m benchmarks.leaks --data ../shared/data --images 100000

Held-out images of real data sets are copied into the training part: as they are, resized, encoded anew, cut to 90 % of
either side, mirrored. A held-out image counts as found where the diagnosis puts it in one group with its copy; one that it
says has a copy and that has none planted is a false one, unless the same is said before anything is planted: such groups
are counted apart (``seen before``), to be looked at.

The many images are mixtures of two photographs each, hashed as the pass hashes them, one in a hundred a copy with slight
changes: stored hashes and features are all that the search is given. Before it is mixed, every photograph is given one
contrast, is cut to a window of its own, and half of them are mirrored: whole photographs of their own contrast would make
thousands of true copies of each other, wherever two mixtures share one photograph that outshines the other.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from benchmarks.checks import SETS, embedded, joined, load, variant
from diagnose.context import Context
from zoo.duplicates import duplicate_groups
from zoo.statistics import perceptual_hashes

Way = Callable[[Image.Image, np.random.Generator], Image.Image]
_KEPT = 0.9  # of either side, by a crop
_CONTRAST = 45  # grey levels, of the mixtures


def crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Nine tenths of either side, anywhere."""
    box = round(image.width * _KEPT), round(image.height * _KEPT)
    left, top = (int(rng.integers(0, full - part + 1)) for full, part in zip(image.size, box, strict=True))
    return image.crop((left, top, left + box[0], top + box[1]))


def resize(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Between half and one and a half times as large."""
    factor = float(rng.uniform(0.5, 1.5))
    size = (max(8, round(image.width * factor)), max(8, round(image.height * factor)))
    return image.resize(size, Image.Resampling.BICUBIC)


def encode(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Through a JPEG file of quality 30 to 70."""
    with tempfile.TemporaryFile() as file:
        image.save(file, "JPEG", quality=int(rng.integers(30, 71)))
        file.seek(0)
        return Image.open(file).convert("RGB")


WAYS: dict[str, Way] = {
    "exact": lambda image, _: image,
    "resized": resize,
    "encoded anew": encode,
    "cropped to 90 %": crop,
    "flipped": lambda image, _: ImageOps.mirror(image),
}


def planted(name: str, context: Context, copies: int, seed: int) -> list[list[str]]:
    """A row of the table for each kind of copy, and one for all kinds together."""
    rng = np.random.default_rng(seed)
    small = variant(context, seed)
    before = leaked(small, small.duplicates)
    clean = np.flatnonzero(~np.isin(np.arange(len(small.dataset)), before))
    pool = rng.permutation(np.intersect1d(small.held_out, clean))
    rows, total = [], np.zeros(3, dtype=np.int64)
    size = min(copies, len(pool) // len(WAYS))
    looked, chosen = small, {}
    for number, (way, change) in enumerate(WAYS.items()):
        chosen[way] = pool[number * size : (number + 1) * size]
        looked = joined(looked, embedded(small, chosen[way], change, rng), "train", way)
    groups = looked.duplicates
    for number, (way, originals) in enumerate(chosen.items()):
        start = len(small.dataset) + number * size
        found = int((groups[start : start + size] == groups[originals]).sum())
        total += (found, size, 0)
        rows.append([name, way, str(size), f"{found / size:.3f}", "", ""])
    every = np.concatenate(list(chosen.values()))
    said = np.setdiff1d(leaked(looked, groups), before)
    false = len(np.setdiff1d(said, every))
    precision = (len(said) - false) / max(len(said), 1)
    rows.append([name, "**all**", str(total[1]), f"{total[0] / total[1]:.3f}", f"{precision:.3f}", str(len(before))])
    return rows


def leaked(context: Context, groups: np.ndarray) -> np.ndarray:
    """Positions of the held-out images with a copy among the training ones."""
    return context.held_out[np.isin(groups[context.held_out], groups[context.train])]


def many(context: Context, n: int, seed: int = 0) -> None:
    """Seconds for so many images, and what is found among them."""
    rng = np.random.default_rng(seed)
    statistics, features = mixed(context, n, rng)
    sources = rng.choice(n, n // 100, replace=False)
    copies = np.setdiff1d(np.arange(n), sources)[: len(sources)]
    statistics[copies] = statistics[sources]
    noise = rng.integers(-2, 3, (len(copies), 32, 32))
    statistics["grey"][copies] = np.clip(statistics["grey"][sources].astype(np.int16) + noise, 0, 255)
    statistics["pixel_hash"][copies] = rng.integers(0, 2**63, len(copies))
    statistics["phash"][copies] = [hashes(grey) for grey in statistics["grey"][copies]]
    spread = 0.02 * features.std(dtype=np.float64)
    features[copies] = features[sources] + rng.normal(0, spread, (len(copies), features.shape[1]))
    wall, processor = time.perf_counter(), time.process_time()
    groups = duplicate_groups(statistics, features)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    found = float((groups[copies] == groups[sources]).mean())
    redundant = n - len(np.unique(groups))
    print(
        f"{n} images: {wall:.0f} s, {processor:.0f} s of processors; {found:.3f} of {len(copies)} copies found", end=""
    )
    print(f", {redundant - round(found * len(copies))} others called copies")


def mixed(context: Context, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Records and features of mixtures of parts of two of the pictures, each with its own share."""
    features = next(iter(context.embeddings.values())).astype(np.float32)
    size = len(context.dataset)
    one, other = rng.integers(0, size, n), rng.integers(0, size, n)
    share = rng.uniform(0.3, 0.7, n).astype(np.float32)
    statistics = context.statistics[one].copy()
    pictures = [whole(context, row) for row in range(size)]
    for row in range(n):
        weight = share[row]
        mixture = weight * part(pictures[one[row]], rng) + (1 - weight) * part(pictures[other[row]], rng)
        statistics["grey"][row] = np.clip(128 + _CONTRAST * mixture / mixture.std(), 0, 255)
    small = statistics["grey"].reshape(n, 8, 4, 8, 4).mean(axis=(2, 4))
    statistics["thumbnail"] = np.rint(small)[..., None]
    statistics["pixel_hash"] = rng.integers(0, 2**63, n)
    statistics["phash"] = [hashes(grey) for grey in statistics["grey"]]
    mixture = np.empty((n, features.shape[1]), dtype=np.float16)
    for start in range(0, n, 10_000):
        rows = slice(start, start + 10_000)
        weight = share[rows, None]
        mixture[rows] = features[one[rows]] * weight + features[other[rows]] * (1 - weight)
    return statistics, mixture


def whole(context: Context, row: int) -> Image.Image:
    """One of the pictures, grey, no larger than its parts need."""
    with Image.open(context.dataset.file(context.dataset.samples[row])) as image:
        return image.convert("L").resize((128, 128), Image.Resampling.BOX)


def part(picture: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """At least three quarters of either side, anywhere, mirrored or not: zero mean, unit variance, ``(32, 32)``."""
    side = float(rng.uniform(0.75, 1)) * picture.width
    left, top = rng.uniform(0, picture.width - side, 2)
    cut = picture.resize((32, 32), Image.Resampling.BOX, box=(left, top, left + side, top + side))
    pixels = np.asarray(cut, dtype=np.float32)[:, :: int(rng.choice((1, -1)))]
    return (pixels - pixels.mean()) / max(float(pixels.std()), 1.0)


def hashes(grey: np.ndarray) -> np.ndarray:
    return perceptual_hashes(Image.fromarray(grey))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of clothing, sign_digits, blood_cells")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--copies", type=int, default=0, help="of each kind, in each data set")
    parser.add_argument("--images", type=int, default=0, help="how many for the time")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.images:
        many(load(options.data / options.sets[0]), options.images)
    if options.copies:
        columns = ["data", "copies", "planted", "recall", "precision", "seen before"]
        print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
        for name in options.sets:
            for row in planted(name, load(options.data / name), options.copies, options.seed):
                print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
