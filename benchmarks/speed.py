"""How near the one pass is to the machine's limit, what a second command costs, and how long the probe takes.

    python -m benchmarks.speed DATA [--model NAME] [--repeats N] [--images N]

The limit is that of a pass which does nothing but decode and run the backbone, on all cores, without any loss between:
1 / (1/decode + 1/forward) on a CPU, the lesser of both on an accelerator. Decoding, the forward pass and the whole pass
are timed one after the other in every round, so that another load on the machine touches all three alike; medians are
printed. The forward pass alone runs the engine that the pass chooses, with the same lanes.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from zoo import engine, lanes, weights
from zoo.card import Card
from zoo.catalog import card
from zoo.data import Dataset, folds, read
from zoo.data.decode import decode
from zoo.devices import torch_device
from zoo.features import embed
from zoo.predict import decoded_side
from zoo.probe import probe

CHUNK = 32


@contextmanager
def fresh_cache():
    """A cache of its own for each measurement, with nothing in it but what was measured of the engine."""
    before = os.environ.get("ZOO_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ZOO_CACHE"] = folder
        if before and (Path(before) / "engines.json").exists():
            shutil.copy(Path(before) / "engines.json", folder)
        try:
            yield Path(folder)
        finally:
            os.environ.pop("ZOO_CACHE") if before is None else os.environ.update(ZOO_CACHE=before)


def rate(work: Callable[[Sequence[int]], int], count: int) -> float:
    """Items a second on all cores."""
    chunks = [range(i, min(i + CHUNK, count)) for i in range(0, count, CHUNK)]
    start = time.perf_counter()
    lanes.run(work, chunks, lanes=lanes.cores(), done=lambda _: None)
    return count / (time.perf_counter() - start)


def decoding(dataset: Dataset, model: Card) -> float:
    """Images a second: bytes to pixels of the model's size; the files are in memory."""
    data = [dataset.file(sample).read_bytes() for sample in dataset.samples]
    side = decoded_side(model.preprocess)

    def work(chunk: Sequence[int]) -> int:
        for i in chunk:
            model.preprocess.pixels(decode(data[i], short_side=side))
        return len(chunk)

    return rate(work, len(data))


def forward(runner: engine.Runner, model: Card, count: int) -> float:
    """Images a second of the backbone alone."""
    shape = (CHUNK, *model.preprocess.size, model.preprocess.channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    def work(chunk: Sequence[int]) -> int:
        runner(pixels[: len(chunk)])
        return len(chunk)

    return rate(work, count)


def whole(dataset: Dataset, model: Card) -> float:
    """Images a second of the pass, with nothing stored before; loading the backbone is not counted."""
    with fresh_cache():
        seconds = []

        def watch(_stage: str, done: int, _total: int) -> None:
            seconds.append((time.perf_counter(), done))

        embed(dataset, [model], progress=watch)
        end = time.perf_counter()
    first, done = seconds[0]
    return (len(dataset) - done) / (end - first)


def line(name: str, values: Sequence[float], unit: str) -> None:
    middle = statistics.median(values)
    print(f"{name:<44} {middle:10.3f} {unit:<9} {min(values):10.3f} to {max(values):.3f}", flush=True)


def child(code: str, *arguments: str) -> tuple[float, float]:
    """Seconds and peak megabytes of a process of its own."""
    start = time.perf_counter()
    script = f"{code}\nimport resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    done = subprocess.run([sys.executable, "-c", script, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return time.perf_counter() - start, float(done.stdout.split()[-1])


COMMAND = """
import sys
from zoo.catalog import card
from zoo.data import folds, read
from zoo.features import embed
from zoo.probe import probe
dataset = read(sys.argv[1])
found = embed(dataset, [card(sys.argv[2])])
labels = found.dataset.labels
number = folds(labels, __import__("numpy").arange(len(labels)), 5, 0)
if sys.argv[3] == "probe":
    probe(found.matrix(card(sys.argv[2]).name), labels, len(found.dataset.classes), folds=number)
"""
MODEL_ONLY = """
import sys
from zoo.catalog import card
from zoo.weights import load
load(card(sys.argv[2]))
"""


def second_command(data: str, model: Card, repeats: int) -> None:
    """What a whole process costs on data that was seen before, and after ten new images."""
    with fresh_cache(), tempfile.TemporaryDirectory() as copy:
        folder = Path(copy) / "data"
        shutil.copytree(data, folder)
        time.sleep(2.1)  # files changed a moment ago are not remembered by their times
        first = child(COMMAND, str(folder), model.name, "embed")
        line("first command, whole process", [first[0]], "s")
        base = child(MODEL_ONLY, str(folder), model.name)
        line("its peak memory above loading the model", [first[1] - base[1]], "MB")
        times = {
            kind: [child(COMMAND, str(folder), model.name, kind)[0] for _ in range(repeats)]
            for kind in ("embed", "probe")
        }
        line("second command, features, whole process", times["embed"], "s")
        line("second command, features and probe", times["probe"], "s")
        files = [p for p in sorted(folder.rglob("*.*")) if p.is_file() and p.suffix in {".jpg", ".png"}][:10]
        for file in files:
            file.with_name(f"new-{file.name}").write_bytes(file.read_bytes() + b"\0")
        line("ten new images, whole process", [child(COMMAND, str(folder), model.name, "embed")[0]], "s")


def probing(dataset: Dataset, model: Card, repeats: int) -> None:
    found = embed(dataset, [model])
    x, y = found.matrix(model.name), found.dataset.labels
    if dataset.given_splits:
        chosen = found.dataset.indices("train")
        x, y = x[chosen], y[chosen]
    number = folds(y, np.arange(len(y)), 5, 0)
    seconds, cpu = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        result = probe(x, y, len(dataset.classes), folds=number)
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    line(f"probe, whole path, {x.shape[0]} x {x.shape[1]}", seconds, "s")
    line("probe, processor time", cpu, "s")
    print(f"{'probe, cross-validated accuracy':<44} {result.accuracy:10.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data")
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--images", type=int, default=0, help="only so many, evenly spread; 0 for all")
    options = parser.parse_args()
    model, dataset = card(options.model), read(options.data)
    part = dataset.select(np.unique(np.linspace(0, len(dataset) - 1, options.images or len(dataset), dtype=int)))
    device = torch_device("auto")
    module = weights.load(model)
    chosen = engine.choose(model, module, device, images=engine.WORTH_MEASURING)
    runner = engine.Runner(module, model.preprocess, chosen, device)
    print(f"{model.name}, {len(part)} images, {lanes.cores()} cores, {device}, {chosen}")
    print(f"{'':<44} {'median':>10} {'':<9} {'spread':>10}")
    rates: dict[str, list[float]] = {"decode": [], "forward": [], "pass": [], "share": []}
    for _ in range(options.repeats):
        rates["decode"].append(decoding(part, model))
        rates["forward"].append(forward(runner, model, len(part)))
        rates["pass"].append(whole(part, model))
        pair = rates["decode"][-1], rates["forward"][-1]
        limit = 1 / sum(1 / r for r in pair) if device.type == "cpu" else min(pair)
        rates["share"].append(rates["pass"][-1] / limit)
    line("decode only", rates["decode"], "images/s")
    line("forward only", rates["forward"], "images/s")
    line("the pass", rates["pass"], "images/s")
    line("share of the limit", rates["share"], "")
    second_command(options.data, model, options.repeats)
    probing(dataset, model, options.repeats)
    print(
        f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB",
        f"torch {torch.__version__}",
    )


if __name__ == "__main__":
    main()
