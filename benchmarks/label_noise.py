"""How well the rate of wrong labels is estimated, and how well wrong labels are found, where they were planted.

    python -m benchmarks.label_noise ../shared/data/{clothing,sign_digits,blood_cells} --out benchmarks/results/label_noise.md

The planted rate is the truth: what these data sets hold of native mistakes (none or hardly any is seen on sure images)
counts against the estimate. A backbone that planted what depends on the image is not among those that estimate.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import noise_rivals as rivals
from benchmarks.noise_planting import (
    BACKBONES,
    BLIND,
    SIGHTED,
    Images,
    IntArray,
    Planter,
    digits,
    folder,
    folds,
    stored,
    without,
)
from diagnose.label_errors import suspects
from diagnose.noise import noise_rate
from diagnose.opinions import Judges
from zoo.probe import out_of_fold

RATES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
FIRST_SEED = 100  # seeds below were used while the constants were being found
FILTERS = (
    "prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given",
    "low_normalized_margin", "low_self_confidence",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Run:
    """One estimate beside its truth."""

    name: str
    backbones: int
    kind: str
    rate: float
    truth: float
    low: float
    high: float
    value: float
    others: dict[str, float]

    @property
    def held(self) -> bool:
        return self.low - 1e-9 <= self.truth <= self.high + 1e-9

    @property
    def family(self) -> str:
        return "clean" if not self.rate else "blind" if self.kind in BLIND else "sighted"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="*", type=Path, help="folders of images")
    parser.add_argument("--features", type=Path, help="folder of features extracted before, by the folders' names")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    images = [stored(options.features, p.name) if options.features else folder(p) for p in options.data] + [digits()]
    runs = [run for one in images for run in rate_runs(one, options.seeds)]
    small = [one.part(_third(one), f"{one.name}, a third") for one in images]
    fewer = [run for one in small for run in rate_runs(one, 2)]
    text = "\n\n".join(
        (head(images), coverage(runs), widths(runs), lower_ends(fewer), losers(runs), *map(found, images))
    )
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")
    print(text)


def rate_runs(images: Images, seeds: int) -> list[Run]:
    """All kinds and rates; with one and with two backbones, none of them the planter's."""
    runs, names = [], list(BACKBONES)
    planters = {name: Planter(images, name) for name in names[1:]}
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        fold = folds(images.labels, seed)
        planter_name = names[1 + seed % 2]
        for chosen in (without(names, planter_name), [names[0]]):
            judges = Judges([images.features[b] for b in chosen], fold)
            for kind in (*BLIND, *SIGHTED):
                for rate in RATES if kind == "uniform" else RATES[1:]:
                    given = planters[planter_name](kind, rate, seed)
                    runs.append(_run(images, judges, given, kind=kind, rate=rate, backbones=len(chosen)))
    return runs


def _run(images: Images, judges: Judges, given: IntArray, *, kind: str, rate: float, backbones: int) -> Run:
    opinions = judges(given, images.num_classes)
    found = noise_rate(opinions, given)
    others = {} if backbones == 1 else {name: one(judges, opinions, given) for name, one in rivals.RIVALS.items()}
    low, high = found.rate.interval
    truth = float((given != images.labels).mean())
    return Run(
        name=images.name, backbones=backbones, kind=kind, rate=rate, truth=truth, low=low, high=high,
        value=found.rate.value, others=others,
    )  # fmt: skip


def _third(images: Images) -> IntArray:
    return np.sort(np.random.default_rng(5).permutation(len(images.labels))[: len(images.labels) // 3])


def table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def head(images: list[Images]) -> str:
    listed = ", ".join(f"{i.name} ({len(i.labels)} images, {i.num_classes} classes)" for i in images)
    return f"# Wrong labels\n\nMade by `benchmarks/label_noise.py`. {listed}."


def coverage(runs: list[Run]) -> str:
    rows = []
    for backbones in (2, 1):
        for kind in ("clean", *BLIND, *SIGHTED):
            mine = [r for r in runs if r.backbones == backbones and (r.family == kind or (r.kind == kind and r.rate))]
            shares = [[r.held for r in mine if r.rate == rate] for rate in RATES]
            width = np.median([r.high - r.low for r in mine])
            cells = [f"{np.mean(s):.2f}" if s else "" for s in shares]
            rows.append(
                [
                    str(backbones),
                    kind,
                    *cells,
                    f"{np.mean([r.held for r in mine]):.3f}",
                    f"{100 * width:.1f}",
                    str(len(mine)),
                ]
            )
        mine = [r for r in runs if r.backbones == backbones]
        rows.append(
            [
                str(backbones),
                "**all**",
                *[""] * len(RATES),
                f"**{np.mean([r.held for r in mine]):.3f}**",
                "",
                str(len(mine)),
            ]
        )
    columns = ["backbones", "noise", *(f"{100 * r:.0f} %" for r in RATES), "held", "median width, points", "runs"]
    return "## The interval: share of runs that hold the planted rate\n\n" + table(columns, rows)


def widths(runs: list[Run]) -> str:
    rows = []
    for name in dict.fromkeys(r.name for r in runs):
        for family in ("clean", "blind", "sighted"):
            mine = [r for r in runs if r.name == name and r.family == family and r.backbones == 2]
            by_rate = [[r for r in mine if r.rate == rate] for rate in RATES]
            cells = [f"{100 * np.median([r.high - r.low for r in s]):.1f}" if s else "" for s in by_rate]
            rows.append([name, family, *cells, f"{np.mean([r.held for r in mine]):.3f}"])
    columns = ["data", "noise", *(f"{100 * r:.0f} %" for r in RATES), "held"]
    return "## Median width in points, two backbones\n\n" + table(columns, rows)


def lower_ends(runs: list[Run]) -> str:
    rows = []
    for family in ("clean", "blind", "sighted"):
        mine = [r for r in runs if r.family == family and r.backbones == 2]
        width = 100 * np.median([r.high - r.low for r in mine])
        zero = np.mean([r.low == 0 for r in mine])
        rows.append([family, f"{np.mean([r.held for r in mine]):.3f}", f"{width:.1f}", f"{zero:.2f}", str(len(mine))])
    columns = ["noise", "held", "median width, points", "lower end 0", "runs"]
    return "## A third of the images\n\nNot used in finding the constants.\n\n" + table(columns, rows)


def losers(runs: list[Run]) -> str:
    """Mean absolute error of every estimator's value."""
    errors: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        if run.backbones == 2:
            for name, value in {"ours": run.value, **run.others}.items():
                errors[name][run.family].append(abs(value - run.truth))
    families = ("clean", "blind", "sighted")
    rows = [[name, *(f"{100 * np.mean(by[f]):.1f}" for f in families)] for name, by in errors.items()]
    return "## Estimators tried: mean absolute error in points\n\n" + table(["estimator", *families], rows)


def found(images: Images) -> str:
    """Suspects against cleanlab's best filter in hindsight, on the same probabilities."""
    chosen, c = list(BACKBONES[::2]), images.num_classes
    planter, rows, seconds = Planter(images, BACKBONES[1]), [], []
    for kind in ("uniform", "pair", "sampled"):
        for rate in RATES if kind == "uniform" else RATES[1:]:
            results = []
            for seed in (FIRST_SEED, FIRST_SEED + 1):
                given, fold = planter(kind, rate, seed), folds(images.labels, seed)
                probabilities = [out_of_fold(images.features[b], given, c, fold, strength=0.005) for b in chosen]
                start = time.perf_counter()
                judges = Judges([images.features[b] for b in chosen], fold)
                noise = noise_rate(judges(given, c), given)
                ours = suspects(judges, given, noise, num_classes=c, probabilities=probabilities)
                seconds.append(time.perf_counter() - start)
                results.append(
                    _scores(given != images.labels, ours.order, ours.count, ours.expected, probabilities, given)
                )
            means = np.mean(results, axis=0)
            cells = [f"{v:.3f}" if np.isfinite(v) else "" for v in means[:4]]
            rows.append([kind, f"{100 * rate:.0f} %", *cells, f"{100 * means[4]:.1f}", f"{means[5]:.2f}"])
    columns = [
        "noise",
        "rate",
        "AUROC",
        "F1 at our cut",
        "F1 at the true number",
        "F1 of cleanlab's best",
        "flagged, %",
        "expected holds",
    ]
    text = f"## Wrong labels found: {images.name}\n\nTwo backbones; {np.median(seconds):.1f} s a run without the probes.\n\n"
    return text + table(columns, rows)


def _scores(wrong, order, count, expected, probabilities, given) -> list[float]:  # type: ignore[no-untyped-def]
    from sklearn.metrics import roc_auc_score

    flagged, total = order[:count], int(wrong.sum())
    real = int(wrong[flagged].sum())
    share = count / len(wrong)
    holds = float(expected[0] <= real <= expected[1])
    if not total:
        return [np.nan, np.nan, np.nan, np.nan, share, holds]
    rank = np.empty(len(order))
    rank[order] = np.arange(len(order))
    best = max(_f1(wrong, rows) for rows in _cleanlab(np.mean(probabilities, axis=0), given))
    return [roc_auc_score(wrong, -rank), _f1(wrong, flagged), _f1(wrong, order[:total]), best, share, holds]


def _cleanlab(probabilities, given):  # type: ignore[no-untyped-def]
    from cleanlab.filter import find_label_issues

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in FILTERS:
            yield np.flatnonzero(find_label_issues(given, probabilities, filter_by=name, n_jobs=1))


def _f1(wrong, rows) -> float:  # type: ignore[no-untyped-def]
    return float(2 * wrong[rows].sum() / max(wrong.sum() + len(rows), 1))


if __name__ == "__main__":
    main()
