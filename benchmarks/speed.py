"""How near the one pass is to the machine's limit, what a second command costs, and how long the probe takes.

    python -m benchmarks.speed DATA [--model NAME] [--repeats N] [--images N]

The limit is that of a pass which does nothing but decode and run the backbone, on all cores, without any loss between:
1 / (1/decode + 1/forward) on a CPU, the lesser of both on an accelerator. Decoding, the forward pass and the whole pass
are timed one after the other in every round, so that another load on the machine touches all three alike; medians are
printed. The forward pass alone runs the engine that the pass chooses, with the same lanes.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
from zoo.runner import Runner

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


def forward(runner: Runner, model: Card, count: int) -> float:
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


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a process took: seconds, seconds of processor time, and the most memory that it held, megabytes."""

    seconds: float
    processor: float
    memory: float


def child(*arguments: str) -> Spent:
    """Runs Python in a process of its own.

    The kernel's own figure of memory at the end (``ru_maxrss``) would not do: a child inherits its parent's.
    """
    start, before, peak = time.perf_counter(), os.times(), 0.0
    with tempfile.TemporaryFile("w+") as said:
        with subprocess.Popen([sys.executable, *arguments], stdout=said, stderr=said) as process:
            while process.poll() is None:
                peak = max(peak, peak_memory(process.pid))
                time.sleep(0.01)
        if process.returncode:
            said.seek(0)
            raise SystemExit(said.read())
    seconds, after = time.perf_counter() - start, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Spent(seconds=seconds, processor=used, memory=peak)


def peak_memory(process: int | str = "self") -> float:
    """Megabytes that a process held at most so far; 0 where it has ended."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text("ascii"))
    return int(found[1]) / 1024 if found else 0.0


MODEL_ONLY = "import sys; from zoo import steps, weights; from zoo.catalog import card; weights.load(card(sys.argv[1]))"


def commands(data: str, model: Card, repeats: int) -> None:
    """``zoo finetune``, whole processes: on new data, again on data that was seen before, and after ten new images."""
    with fresh_cache(), tempfile.TemporaryDirectory() as place:
        folder, number = Path(place) / "data", itertools.count()
        shutil.copytree(data, folder)
        time.sleep(2.1)  # files changed a moment ago are not remembered by their times

        def finetune() -> Spent:
            out = Path(place) / f"run{next(number)}"
            options = ("--set", "recipe=probe", "--offline", "--out", str(out))
            return child("-m", "cli", "finetune", model.name, str(folder), *options)

        first, base = finetune(), child("-c", MODEL_ONLY, model.name)
        line("zoo finetune, first command", [first.seconds], "s")
        line("its peak memory above loading the model", [first.memory - base.memory], "MB")
        second = [finetune() for _ in range(repeats)]
        line("zoo finetune, second command", [spent.seconds for spent in second], "s")
        line("its processor time", [spent.processor for spent in second], "s")
        for file in [p for p in sorted(folder.rglob("*.*")) if p.suffix in {".jpg", ".png"}][:10]:
            file.with_name(f"new-{file.name}").write_bytes(file.read_bytes() + b"\0")
        line("zoo finetune, ten new images", [finetune().seconds], "s")


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
    chosen = engine.choose(model, module, device, images=max(len(part), engine.WORTH_MEASURING))
    runner = Runner(module, model.preprocess, chosen.name, batch=chosen.batch, device=device)
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
    commands(options.data, model, options.repeats)
    probing(dataset, model, options.repeats)
    print(f"peak memory of this process: {peak_memory():.0f} MB; torch {torch.__version__}")


if __name__ == "__main__":
    main()
