"""How well the rate of wrong labels is estimated, and how well wrong labels are found, where they were planted.

    python -m benchmarks.label_noise ../shared/data/{clothing,sign_digits,blood_cells} --results noise.jsonl [--part rate]
    python -m benchmarks.label_noise --results noise.jsonl --out noise.md

Every run is a line of the results, from which ``--out`` makes the tables; what has its line is not run again.

The planted rate is the truth: what these data sets hold of native mistakes (none or hardly any is seen on sure images)
counts against the estimate. A backbone that planted what depends on the image is not among those that estimate. Seeds
take all images, six tenths and three tenths of them in turn, drawn anew by each: the constants of ``diagnose.noise`` were
found on all images under seeds below 100, on clothing, sign_digits and digits.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import noise_rivals as rivals
from benchmarks.noise_planting import BLIND, SIGHTED, Images, IntArray, Planter, digits, folder, folds
from benchmarks.noise_tables import tables
from diagnose.label_errors import suspects
from diagnose.noise import noise_rate
from diagnose.opinions import Judges
from zoo.probe import out_of_fold

RATES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
SHARES = (1.0, 0.6, 0.3)  # of the images, by seed in turn
FIRST_SEED = 600
FILTERS = (
    "prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given",
    "low_normalized_margin", "low_self_confidence",
)  # fmt: skip
_STRENGTH = 0.005  # of the logistic probes, as the diagnosis has them
Line = dict[str, Any]
Key = tuple[Any, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="*", type=Path, help="folders of images; 'digits' for scikit-learn's")
    parser.add_argument("--results", type=Path, required=True, help="JSON lines that every run adds to")
    parser.add_argument("--part", choices=("rate", "found", "all"), default="all")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--rivals", action="store_true", help="the estimators that lost, too (slow)")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    for path in options.data:
        images = digits() if path.name == "digits" else folder(path)
        for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
            done = {key(line) for line in lines_of(options.results)}
            for line in run(images, seed, done, options):
                with options.results.open("a") as file:
                    file.write(json.dumps(line) + "\n")
            print(images.name, seed, flush=True)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(tables(lines_of(options.results)))


def run(images: Images, seed: int, done: set[Key], options: argparse.Namespace) -> Iterator[Line]:
    """What is asked for under one seed and not done yet."""
    if options.part in ("rate", "all"):
        yield from rate_lines(images, seed, done, rivals.RIVALS if options.rivals else {})
    if options.part in ("found", "all"):
        yield from found_lines(images, seed, done)


def key(line: Line) -> Key:
    return tuple(line[name] for name in ("part", "name", "seed", "backbones", "kind", "rate"))


def lines_of(results: Path) -> list[Line]:
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


def some(images: Images, seed: int) -> Images:
    """The share of the images that is this seed's turn."""
    n = len(images.labels)
    count = round(SHARES[seed % len(SHARES)] * n)
    rows = np.sort(np.random.default_rng(seed).permutation(n)[:count])
    return images.part(rows, images.name)


def choices(images: Images, seed: int) -> tuple[str, list[list[str]]]:
    """Which backbone plants, and the sets of others that estimate: the first alone, and all others if there are two."""
    names = list(images.features)
    planter = names[1 + seed % (len(names) - 1)]
    others = [name for name in names if name != planter]
    return planter, [others[:1], others][: len(others)]


def cases() -> Iterator[tuple[str, float]]:
    yield "clean", 0.0
    for rate in RATES[1:]:
        yield from ((kind, rate) for kind in (*BLIND, *SIGHTED))


def rate_lines(images: Images, seed: int, done: set[Key], tried: Mapping[str, rivals.Estimator]) -> Iterator[Line]:
    """The estimate under every kind and rate of noise."""
    images = some(images, seed)
    planter_name, sets = choices(images, seed)
    planter, fold = Planter(images, planter_name), folds(images.labels, seed)
    for chosen in sets:
        about = {"part": "rate", "name": images.name, "seed": seed, "backbones": len(chosen)}
        todo = [case for case in cases() if key({**about, "kind": case[0], "rate": case[1]}) not in done]
        judges = Judges([images.features[b] for b in chosen], fold) if todo else None
        for kind, rate in todo:
            given = images.labels if kind == "clean" else planter(kind, rate, seed)
            assert judges is not None
            yield {**about, "kind": kind, "rate": rate, "n": len(given), **estimate(images, judges, given, tried)}


def estimate(images: Images, judges: Judges, given: IntArray, tried: Mapping[str, rivals.Estimator]) -> Line:
    opinions = judges(given, images.num_classes)
    noise = noise_rate(opinions, given)
    low, high = noise.rate.interval
    return {
        "truth": float((given != images.labels).mean()),
        "low": low,
        "high": high,
        "value": noise.rate.value,
        "others": {name: one(judges, opinions, given) for name, one in tried.items()},
    }


def found_lines(images: Images, seed: int, done: set[Key]) -> Iterator[Line]:
    """Suspects against cleanlab's best filter in hindsight, on the same probabilities; by two backbones if there are."""
    images = some(images, seed)
    planter_name, sets = choices(images, seed)
    planter, fold, chosen = Planter(images, planter_name), folds(images.labels, seed), sets[-1]
    about = {"part": "found", "name": images.name, "seed": seed, "backbones": len(chosen)}
    judges = Judges([images.features[b] for b in chosen], fold)
    for kind, rate in cases():
        line = {**about, "kind": kind, "rate": rate}
        if kind not in ("clean", "uniform", "pair", "sampled") or key(line) in done:
            continue
        given = images.labels if kind == "clean" else planter(kind, rate, seed)
        yield {**line, "n": len(given), **found(images, [images.features[b] for b in chosen], judges, given, fold)}


def found(images: Images, features: list[Any], judges: Judges, given: IntArray, fold: IntArray) -> Line:
    from sklearn.metrics import roc_auc_score

    c, wrong = images.num_classes, given != images.labels
    probabilities = [out_of_fold(x, given, c, fold, strength=_STRENGTH) for x in features]
    start = time.process_time()
    noise = noise_rate(judges(given, c), given)
    ours = suspects(judges, given, noise, num_classes=c, probabilities=probabilities)
    seconds = time.process_time() - start
    line = {"flagged": ours.count / len(given), "seconds": seconds}
    line["expected holds"] = float(ours.expected[0] <= int(wrong[ours.flagged].sum()) <= ours.expected[1])
    if not wrong.any():
        return line
    rank = np.empty(len(given))
    rank[ours.order] = np.arange(len(given))
    return {
        **line,
        "auroc": roc_auc_score(wrong, -rank),
        "f1": f1(wrong, ours.flagged),
        "f1 at true": f1(wrong, ours.order[: int(wrong.sum())]),
        "f1 cleanlab": max(f1(wrong, rows) for rows in _cleanlab(np.mean(probabilities, axis=0), given)),
    }


def _cleanlab(probabilities: Any, given: IntArray) -> Iterator[IntArray]:
    from cleanlab.filter import find_label_issues

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in FILTERS:
            yield np.flatnonzero(find_label_issues(given, probabilities, filter_by=name, n_jobs=1))


def f1(wrong: Any, rows: IntArray) -> float:
    return float(2 * wrong[rows].sum() / max(wrong.sum() + len(rows), 1))


if __name__ == "__main__":
    main()
