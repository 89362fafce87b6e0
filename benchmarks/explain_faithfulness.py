"""Mean symmetric relevance gain of ``auto`` against Captum's and grad-cam's methods, on the same images.

    python -m benchmarks.explain_faithfulness CLOTHING SIGN_DIGITS --models imagenet probe --images 20 --out rows.jsonl

The models, all EfficientNet-Lite0: ``imagenet`` with its own head, and the runs of ``zoo finetune`` with the recipes
``probe`` and ``finetune`` (three minutes), made under ``--runs`` where they are not there. Explained are images that
the last two were not fitted on; ``auto`` chooses on others than those that are compared. Each row (data, model, seed,
method) is written as soon as it is there, with the gain of each image, and read back the next time: the benchmark may
be stopped and started again. Intervals by bootstrap over the images, paired. ``--report`` only prints what there is.
Needs ``pip install grad-cam``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.explain_subjects import MODELS, Subject, peers, subject
from explain import Deletion, attribute, class_weights, find_structure, relevance_gain
from explain.attribution import Attribution
from explain.choice import choose
from explain.race import Calibration

#: Images that a peer gets at a time: grad-cam and Captum keep the graph of them all.
PART = 4


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One subject, with what is explained of it."""

    subject: Subject
    classes: Tensor
    count: int

    @classmethod
    def of(cls, subject: Subject) -> Bench:
        with torch.no_grad():
            scores = torch.cat([subject.model(part) for part in subject.inputs.split(PART)])
        return cls(subject=subject, classes=scores.argmax(1), count=scores.shape[1])

    @property
    def weights(self) -> Tensor:
        return class_weights(self.classes, self.count)

    def auto(self) -> tuple[Tensor, str]:
        """Maps by the method that ``choose`` takes on the calibration images, and its name."""
        model, others = self.subject.model, self.subject.calibration
        with torch.no_grad():
            theirs = torch.cat([model(part).argmax(1) for part in others.split(PART)])
        structure = find_structure(model, others)
        calibration = Calibration(
            inputs=others, weights=class_weights(theirs, self.count), structure=structure, how=Deletion()
        )
        method = choose(model, calibration).method
        return self.ours(method).maps, method

    def ours(self, method: str) -> Attribution:
        return attribute(self.subject.model, self.subject.inputs, self.weights, method=method)

    def theirs(self, number: int) -> Tensor:
        parts = zip(self.subject.inputs.split(PART), self.classes.split(PART), strict=True)
        made = [list(peers(self.subject.model, x, c))[number][1]() for x, c in parts]
        return torch.cat(made).detach().float()

    def work(self, ours: list[str]) -> Iterator[tuple[str, Callable[[], tuple[Tensor, str]]]]:
        """Every method by name; ``ours`` beside ``auto`` where asked for."""
        yield "auto", self.auto
        for name in ours:
            yield f"ours: {name}", lambda name=name: (self.ours(name).maps, "")
        for number, (name, _) in enumerate(peers(self.subject.model, self.subject.inputs[:1], self.classes[:1])):
            yield name, lambda number=number: (self.theirs(number), "")


def measure(bench: Bench, wanted: Callable[[str], bool], ours: list[str]) -> Iterator[dict[str, Any]]:
    for name, make in bench.work(ours):
        if not wanted(name):
            continue
        start = time.process_time()
        maps, chosen = make()
        seconds = (time.process_time() - start) / len(maps)
        gain = relevance_gain(bench.subject.model, bench.subject.inputs, bench.weights, maps, Deletion()).value
        yield {"method": name, "chosen": chosen, "seconds": seconds, "gain": gain.tolist()}


def interval(values: np.ndarray, draws: int = 4000) -> tuple[float, float]:
    """95 % of the mean by bootstrap over images."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(0, len(values), (draws, len(values)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def report(rows: list[dict[str, Any]]) -> None:
    for data, model in dict.fromkeys((r["data"], r["model"]) for r in rows):
        some = [r for r in rows if (r["data"], r["model"]) == (data, model)]
        gains: dict[str, dict[int, list[float]]] = {}
        for row in some:
            gains.setdefault(row["method"], {})[row["seed"]] = row["gain"]
        chosen = ", ".join(sorted({r["chosen"] for r in some if r["chosen"]}))
        print(f"\n## {data}, {model}; auto chose {chosen or 'nothing yet'}\n")
        print("| method | images | mean gain, 95 % interval | auto minus it, 95 % interval | processor s an image |")
        print("|---|---|---|---|---|")
        for name, found in sorted(gains.items(), key=lambda item: -float(np.mean(np.concatenate([*item[1].values()])))):
            values = np.concatenate([*found.values()])
            low, high = interval(values)
            paired = [np.subtract(gains["auto"][s], found[s]) for s in found if s in gains.get("auto", {})]
            against = ""
            if paired and name != "auto":
                both = np.concatenate(paired)
                against = "{:+.2f} ({:+.2f} to {:+.2f})".format(both.mean(), *interval(both))
            seconds = np.mean([r["seconds"] for r in some if r["method"] == name])
            print(
                f"| {name} | {len(values)} | {values.mean():.2f} ({low:.2f} to {high:.2f}) | {against} | {seconds:.2f} |"
            )


def read_rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", nargs="*", type=Path)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--calibration", type=int, default=16)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--runs", type=Path, default=Path("runs-faithfulness"))
    parser.add_argument("--out", type=Path, default=Path("explain_faithfulness.jsonl"))
    parser.add_argument("--method", default="", help="Methods whose name holds this.")
    parser.add_argument("--ours", nargs="*", default=[], help="Methods of ours to measure beside auto.")
    parser.add_argument("--report", action="store_true", help="Measure nothing.")
    arguments = parser.parse_args()
    todo = [] if arguments.report else itertools.product(arguments.models, arguments.data, arguments.seeds)
    for model, root, seed in todo:
        key = {"data": root.name, "model": model, "seed": seed}
        done = {r["method"] for r in read_rows(arguments.out) if all(r[k] == v for k, v in key.items())}
        log(f"{key}: {len(done)} rows are there; loading")
        made = subject(
            model, root, runs=arguments.runs, images=arguments.images, calibration=arguments.calibration, seed=seed
        )

        def wanted(method: str, done: set[str] = done) -> bool:
            return arguments.method in method and method not in done

        for row in measure(Bench.of(made), wanted, arguments.ours):
            with arguments.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(key | row) + "\n")
            log(f"{root.name}, {model}, {row['method']} {row['chosen']}: {np.mean(row['gain']):.3f}")
    report(read_rows(arguments.out))


def log(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
