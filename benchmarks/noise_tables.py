"""The tables of ``benchmarks.label_noise``, from the lines of its results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.noise_planting import BLIND, SIGHTED

Line = dict[str, Any]
_FOUND = ("auroc", "f1", "f1 at true", "f1 cleanlab")


def tables(lines: Sequence[Line]) -> str:
    """All of them, as Markdown."""
    rate, found = ([line for line in lines if line["part"] == part] for part in ("rate", "found"))
    texts = ["# Wrong labels\n\nMade by `benchmarks/label_noise.py`."]
    if rate:
        texts += [coverage(rate), by_data(rate), by_size(rate)]
    if any(line["others"] for line in rate):
        texts.append(losers(rate))
    names = dict.fromkeys(line["name"] for line in found)
    texts += [suspects(name, [line for line in found if line["name"] == name]) for name in names]
    return "\n\n".join(texts) + "\n"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def coverage(lines: Sequence[Line]) -> str:
    """Share of the runs whose interval holds the planted rate, by kind and rate of the noise."""
    rates = sorted({line["rate"] for line in lines})
    rows = []
    for backbones in sorted({line["backbones"] for line in lines}):
        for kind in ("clean", *BLIND, *SIGHTED, "**all**"):
            mine = [r for r in lines if r["backbones"] == backbones and kind in (r["kind"], "**all**")]
            if mine:
                cells = [_mean(held, [r for r in mine if r["rate"] == rate], "{:.2f}") for rate in rates]
                row = [*cells, _mean(held, mine, "{:.3f}"), _width(mine), str(len(mine))]
                rows.append([str(backbones), kind, *row])
    columns = ["backbones", "noise", *(f"{100 * r:.0f} %" for r in rates), "held", "median width, points", "runs"]
    return "## The interval: share of runs that hold the planted rate\n\n" + table(columns, rows)


def by_data(lines: Sequence[Line]) -> str:
    rows = []
    for name in dict.fromkeys(line["name"] for line in lines):
        for family in ("clean", "blind", "sighted"):
            mine = [r for r in lines if r["name"] == name and _family(r) == family]
            rows.append([name, family, _mean(held, mine, "{:.3f}"), _width(mine), str(len(mine))])
    return "## By data set\n\n" + table(["data", "noise", "held", "median width, points", "runs"], rows)


def by_size(lines: Sequence[Line]) -> str:
    rows = []
    for name, n in sorted({(line["name"], line["n"]) for line in lines}):
        mine = [r for r in lines if (r["name"], r["n"]) == (name, n)]
        rows.append([name, str(n), _mean(held, mine, "{:.3f}"), _width(mine), str(len(mine))])
    return "## By number of images\n\n" + table(["data", "images", "held", "median width, points", "runs"], rows)


def losers(lines: Sequence[Line]) -> str:
    """Mean absolute error of every estimator's value."""
    errors: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in (line for line in lines if line["others"]):
        for name, value in {"ours": line["value"], **line["others"]}.items():
            errors[name][_family(line)].append(abs(value - line["truth"]))
    families = ("clean", "blind", "sighted")
    rows = [[name, *(f"{100 * np.mean(by[f]):.1f}" for f in families)] for name, by in errors.items()]
    return "## Estimators tried: mean absolute error in points\n\n" + table(["estimator", *families], rows)


def suspects(name: str, lines: Sequence[Line]) -> str:
    rows = []
    for kind, rate in sorted({(line["kind"], line["rate"]) for line in lines}):
        mine = [line for line in lines if (line["kind"], line["rate"]) == (kind, rate)]
        cells = [_mean(lambda line, at=at: line[at], mine, "{:.3f}") if at in mine[0] else "" for at in _FOUND]
        ratio = (
            _mean(lambda line: line["f1"] / max(line["f1 at true"], 1e-9), mine, "{:.3f}") if "f1" in mine[0] else ""
        )
        flagged = _mean(lambda line: 100 * line["flagged"], mine, "{:.1f}")
        rows.append(
            [kind, f"{100 * rate:.0f} %", *cells, ratio, flagged, _mean(_expected, mine, "{:.2f}"), str(len(mine))]
        )
    columns = [
        "noise", "rate", "AUROC", "F1 at our cut", "at the true number", "cleanlab's best", "our cut over the true",
        "flagged, %", "expected holds", "runs",
    ]  # fmt: skip
    seconds = np.median([line["seconds"] for line in lines])
    backbones = ", ".join(map(str, sorted({line["backbones"] for line in lines})))
    head = f"## Wrong labels found: {name}\n\nBackbones: {backbones}; {seconds:.1f} s a run without the probes.\n\n"
    return head + table(columns, rows)


def held(line: Line) -> float:
    return float(line["low"] - 1e-9 <= line["truth"] <= line["high"] + 1e-9)


def _expected(line: Line) -> float:
    return float(line["expected holds"])


def _family(line: Line) -> str:
    return "clean" if line["kind"] == "clean" else "blind" if line["kind"] in BLIND else "sighted"


def _width(lines: Sequence[Line]) -> str:
    return f"{100 * np.median([line['high'] - line['low'] for line in lines]):.1f}"


def _mean(value: Callable[[Line], float], lines: Sequence[Line], form: str) -> str:
    return form.format(np.mean([value(line) for line in lines])) if lines else ""
