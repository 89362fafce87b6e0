"""A simulated million images: what the store, the lookups and the probe cost in time and memory.

    python -m benchmarks.scale [--images N] [--width D] [--classes C]

The backbone is a stub: features and statistics are generated, and stored as the pass stores them. Everything after
that is the product's own code. Memory is what this process holds itself (anonymous pages); pages of mapped files are
counted apart, because the system takes them back when it needs them.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from zoo.data import Dataset, Sample
from zoo.features import Features, gathered
from zoo.probe import probe
from zoo.statistics import STATISTICS
from zoo.store import Table, Writer, as_digests, digest

BLOCK = 4096


def memory() -> tuple[float, float]:
    """Megabytes of this process: its own, and mapped from files."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return tuple(int(fields[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile"))  # type: ignore[return-value]


@contextmanager
def stage(name: str, images: int) -> Iterator[None]:
    """Prints seconds, seconds of processors, seconds a million, and the highest memory seen meanwhile."""
    peak, stop = [0.0, 0.0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.1):
            now = memory()
            peak[0], peak[1] = max(peak[0], now[0]), max(peak[1], now[1])

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start, used = time.perf_counter(), time.process_time()
    yield
    seconds, used = time.perf_counter() - start, time.process_time() - used
    stop.set()
    watcher.join()
    print(
        f"{name:<36} {seconds:9.1f} {used:12.1f} {seconds / images * 1e6:12.1f} {peak[0]:10.0f} {peak[1]:12.0f}",
        flush=True,
    )


def names(start: int, stop: int) -> list[bytes]:
    return [digest(i.to_bytes(8, "little")) for i in range(start, stop)]


def generate(start: int, stop: int, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features around a centre for each class, with noise; labels in turn."""
    rng = np.random.default_rng(start)
    labels = np.arange(start, stop) % len(centres)
    noise = rng.standard_normal((stop - start, centres.shape[1]), dtype=np.float32)
    return (centres[labels] + noise).astype(np.float16), labels


def fill(root: Path, images: int, centres: np.ndarray) -> tuple[Table, Table]:
    """Stores what a pass over so many images would store."""
    features = Table(root / "features" / "stub", np.dtype(("<f2", (centres.shape[1],))))
    statistics = Table(root / "statistics-1", STATISTICS)
    writers = Writer(features), Writer(statistics)
    for start in range(0, images, BLOCK):
        stop = min(start + BLOCK, images)
        keys = names(start, stop)
        writers[0].add(keys, generate(start, stop, centres)[0])
        writers[1].add(keys, np.zeros(stop - start, dtype=STATISTICS))
    for writer in writers:
        writer.flush()
    features.refresh()
    statistics.refresh()
    return features, statistics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--cache", type=Path, default=None, help="where the tables go; a temporary folder by default")
    options = parser.parse_args()
    n = options.images
    centres = np.random.default_rng(0).standard_normal((options.classes, options.width)).astype(np.float32) * 0.05
    print(f"{n} images, {options.width} features, {options.classes} classes; before anything: {memory()[0]:.0f} MB own")
    print(f"{'':<36} {'seconds':>9} {'processors s':>12} {'s/million':>12} {'own MB':>10} {'mapped MB':>12}")
    with tempfile.TemporaryDirectory(dir=options.cache) as folder:
        os.environ["ZOO_CACHE"] = folder
        with stage("store features and statistics", n):
            features, statistics = fill(Path(folder), n, centres)
        print(f"{'':<36} {len(list(Path(folder).rglob('*.rows')))} files on the disk")
        with stage("list of samples", n):
            samples = tuple(Sample(path=f"class{i % 10}/{i:07d}.jpg", label=i % options.classes) for i in range(n))
            dataset = Dataset(root=Path("/"), samples=samples, classes=tuple("0123456789"))
        with stage("name contents", n):
            digests = np.concatenate([as_digests(names(i, min(i + BLOCK, n))) for i in range(0, n, BLOCK)])
        with stage("look up and read statistics", n):
            records = gathered(statistics, digests).view(STATISTICS)
        found = Features(dataset=dataset, statistics=records, digests=digests, computed=0, _tables={"stub": features})
        with stage("gather the matrix", n):
            x = found.matrix("stub")
        expected = generate(0, 2, centres)[0]
        assert np.array_equal(x[:2], expected), "rows do not belong to their images"
        with stage("probe: path, 5 folds, one head", n):
            number = np.arange(n) // options.classes % 5  # every fold has all classes
            result = probe(x, dataset.labels, options.classes, folds=number)
        print(f"probe: {result.method}, strength {result.strength}, accuracy {result.accuracy:.4f}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
