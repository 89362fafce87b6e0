"""What a diagnosis costs beyond the one pass over the images, and how that grows to a million of them.

    python -m benchmarks.diagnose_cost ../shared/data/clothing
    python -m benchmarks.diagnose_cost --simulated 10000 30000 100000 300000 1000000

With a folder: the pass by the bundled backbones with nothing stored, then ``diagnose`` on what it stored, rung 1 and
everything in it. Processor time is given beside the clock's, because it holds on a machine that has other work too.

Simulated: statistics and features of so many images in memory (ten classes, one image in a hundred a copy of another,
one in fifty mislabelled), one process each, so that its highest memory is its own.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

T = TypeVar("T")
CLASSES = 10


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds by the clock and of the processors."""

    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.wall:.1f} s ({self.processor:.1f} s of processors)"


def timed(work: Callable[[], T]) -> tuple[T, Cost]:
    wall, processor = time.perf_counter(), time.process_time()
    done = work()
    return done, Cost(wall=time.perf_counter() - wall, processor=time.process_time() - processor)


def on_images(folder: Path) -> None:
    from diagnose.diagnosis import bundled_backbones, diagnose_fully
    from zoo.data import read
    from zoo.features import embed

    with tempfile.TemporaryDirectory() as cache:
        os.environ["ZOO_CACHE"] = cache
        cards = bundled_backbones()
        features, the_pass = timed(lambda: embed(read(folder), cards))
        _, first = timed(lambda: diagnose_fully(folder))  # measures the positive control, once an installation
        found, again = timed(lambda: diagnose_fully(folder))
    print(f"{folder.name}: {len(features.dataset)} images, {', '.join(card.name for card in cards)}")
    print(f"the pass                         {the_pass}")
    print(f"first diagnosis, on stored rows  {first}")
    print(f"every other                      {again}")
    print(f"pass and diagnosis over the pass {1 + again.processor / the_pass.processor:.2f} of processors", end="")
    print(f", {1 + again.wall / the_pass.wall:.2f} by the clock")
    for name, seconds in sorted(found.seconds_by_check, key=lambda pair: -pair[1]):
        print(f"  {name:<20} {seconds:6.2f}")


def simulated(n: int, width: int, backbones: int) -> None:
    from diagnose.diagnosis import examine
    from diagnose.findings import Control, Estimate

    context = world(n, width, backbones)
    before = _megabytes()
    control = Control(name="positive-control", accuracy=Estimate(value=0.91, interval=(0.88, 0.94)))
    found, cost = timed(lambda: examine(context, positive_control=control))
    assert not found.verdict.failures, found.verdict.failures
    slowest = sorted(found.seconds_by_check, key=lambda pair: -pair[1])[:4]
    listed = ", ".join(f"{name} {seconds:.0f}" for name, seconds in slowest)
    row = [n, f"{cost.wall:.0f}", f"{cost.processor:.0f}", f"{1e6 * cost.processor / n:.0f}"]
    row += [f"{before:.0f}", f"{_megabytes():.0f}", listed]
    print("| " + " | ".join(map(str, row)) + " |", flush=True)


def _megabytes() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def world(n: int, width: int, backbones: int):  # type: ignore[no-untyped-def]
    """A context of so many images that were never there."""
    from diagnose.context import Context
    from zoo.data import Dataset, Sample

    rng = np.random.default_rng(0)
    true = rng.integers(0, CLASSES, n)
    wrong = rng.random(n) < 0.02
    labels = np.where(wrong, rng.integers(0, CLASSES, n), true)
    twins = np.arange(n)
    copies = rng.choice(n, n // 100, replace=False)
    twins[copies] = rng.integers(0, n, len(copies))
    samples = tuple(
        Sample(path=f"{label}/{i:07d}.jpg", label=int(label), split="train" if i % 5 else "val")
        for i, label in enumerate(labels)
    )
    classes = tuple(f"class {c}" for c in range(CLASSES))
    return Context(
        dataset=Dataset(root=Path("/"), samples=samples, classes=classes, given_splits=True),
        statistics=records(n, rng)[twins],
        embeddings={f"backbone {i}": features(true, width, rng)[twins] for i in range(backbones)},
    )


def features(true: np.ndarray, width: int, rng: np.random.Generator) -> np.ndarray:
    """A centre for each class, and noise around it, ``(n, width)``."""
    centres = rng.standard_normal((CLASSES, width), dtype=np.float32) * 0.25
    out = np.empty((len(true), width), dtype=np.float16)
    for start in range(0, len(true), 50_000):
        rows = slice(start, start + 50_000)
        noise = rng.standard_normal((len(true[rows]), width), dtype=np.float32)
        out[rows] = centres[true[rows]] + noise
    return out


def records(n: int, rng: np.random.Generator) -> np.ndarray:
    """Statistics of pictures of noise, each unlike the other."""
    from zoo.statistics import STATISTICS

    out = np.zeros(n, dtype=STATISTICS)
    out["bytes"], out["width"], out["height"] = rng.integers(20_000, 60_000, n), 320, 240
    out["format"], out["mode"], out["quality"], out["captured"] = b"JPEG", b"RGB", 90, -1
    out["pixel_hash"] = rng.integers(0, 2**63, n)
    out["phash"] = rng.integers(0, 2**63, (n, 8))
    out["brightness"], out["contrast"] = rng.uniform(0.3, 0.6, n), rng.uniform(0.1, 0.3, n)
    out["dark"], out["bright"], out["entropy"] = rng.uniform(0.8, 1, n), rng.uniform(0, 0.1, n), 7
    out["sharpness"], out["colourfulness"] = rng.uniform(0.01, 0.02, n), rng.uniform(0.1, 0.3, n)
    for name in ("border", "corners", "thumbnail", "grey"):
        out[name] = rng.integers(0, 256, out[name].shape, dtype=np.uint8)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="*", type=Path, help="folders of images")
    parser.add_argument("--simulated", nargs="*", type=int, default=[], help="numbers of images, one process each")
    parser.add_argument("--width", type=int, default=512, help="simulated features of each backbone")
    parser.add_argument("--backbones", type=int, default=1)
    parser.add_argument("--here", action="store_true", help="in this process; set for the processes started")
    options = parser.parse_args()
    for folder in options.data:
        on_images(folder)
    if options.here:
        simulated(options.simulated[0], options.width, options.backbones)
        return
    if options.simulated:
        columns = ["images", "seconds", "of processors", "a million", "MB before", "MB at most", "slowest checks, s"]
        print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns), flush=True)
    for n in options.simulated:
        mine = ["--simulated", str(n), "--width", str(options.width), "--backbones", str(options.backbones), "--here"]
        subprocess.run([sys.executable, "-m", "benchmarks.diagnose_cost", *mine], check=True)


if __name__ == "__main__":
    main()
