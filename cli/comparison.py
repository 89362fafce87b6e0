"""How a comparison of runs is shown, in words and as JSON."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cli.units import duration, size
from zoo.comparison import Comparison, Entry, Pair
from zoo.data.names import printable
from zoo.metrics import Scores

_MOST_PAIRS = 10


def table(found: Comparison) -> tuple[list[str], list[list[str]]]:
    """The columns, and one row a run; figures that no run has are left out, and what all share is not repeated."""
    splits = [s for s in ("test", "val") if any(s == split for entry in found.entries for split, _ in entry.scores)]
    several = len({entry.data for entry in found.entries}) > 1
    columns = ["run", "model", *(["data"] if several else []), *(f"{split} accuracy" for split in splits)]
    columns += ["macro-F1", "time", "weights"]
    rows = [_row(entry, splits, several=several) for entry in found.entries]
    return columns, [[f"#{number} {name}", *rest] for number, (name, *rest) in enumerate(rows, 1)]


def lines(found: Comparison) -> list[str]:
    """What the pairs say; of many pairs those of the best run, or else of the first, with every other."""
    pairs = list(found.pairs)
    if len(pairs) > _MOST_PAIRS:
        best = max(range(len(found.entries)), key=lambda i: _headline(found.entries[i]))
        pairs = [pair for pair in pairs if best in {pair.first, pair.second}]
    said = [line for pair in pairs for line in ("", *_sentences(pair))]
    if sum(pair.difference is not None for pair in found.pairs) > 1:
        said += ["", "The p-values allow for several pairs being looked at (Holm)."]
    return said


def as_json(found: Comparison) -> dict[str, Any]:
    """All of it; ``first`` and ``second`` of a pair are folders."""
    paths = [str(entry.path) for entry in found.entries]
    return {
        "runs": [
            {**asdict(entry), "path": str(entry.path), "scores": {s: asdict(f) for s, f in entry.scores}}
            for entry in found.entries
        ],
        "pairs": [
            {
                **asdict(pair),
                "first": paths[pair.first],
                "second": paths[pair.second],
                "noise": pair.difference.noise if pair.difference else None,
            }
            for pair in found.pairs
        ],
    }


def name_of(entry: Entry) -> str:
    """The run's folder as a person would type it from here."""
    try:
        short = os.path.relpath(entry.path)
    except ValueError:  # another drive
        short = str(entry.path)
    return printable(short if len(short) < len(str(entry.path)) else str(entry.path))


def _row(entry: Entry, splits: Sequence[str], *, several: bool) -> list[str]:
    scores = dict(entry.scores)
    figures = [_accuracy(scores.get(split)) for split in splits]  # type: ignore[call-overload]
    main = entry.scores[0][1] if entry.scores else None
    return [
        name_of(entry),
        f"{entry.model}, {entry.recipe}{'' if entry.finished else ', not finished'}",
        *([printable(Path(entry.data).name)] if several else []),
        *figures,
        f"{main.macro_f1:.3f}" if main else "-",
        duration(entry.seconds),
        size(entry.size),
    ]


def _accuracy(scores: Scores | None) -> str:
    if scores is None:
        return "-"
    low, high = scores.interval
    return f"{scores.accuracy:.1%} [{100 * low:.1f}, {100 * high:.1f}]"


def _headline(entry: Entry) -> float:
    return entry.scores[0][1].accuracy if entry.scores else -1.0


def _sentences(pair: Pair) -> list[str]:
    first, second = f"#{pair.first + 1}", f"#{pair.second + 1}"
    d = pair.difference
    if not all(pair.scored):
        return [f"{second if pair.scored[0] else first} has scored nothing yet. Finish it: zoo resume RUN"]
    if d is None:
        return [
            f"{first} and {second} scored different files: their accuracies are of different images.",
            "  For a fair comparison score both on the same new data: zoo evaluate RUN DATA",
        ]
    low, high = d.interval
    verdict = f"{first} and {second}: within noise." if d.noise else f"{first} is better than {second}."
    common = f"{d.count} {pair.split} images"
    if pair.scored != (d.count, d.count):
        common = f"the {d.count} {pair.split} images that both scored (of {pair.scored[0]} and {pair.scored[1]})"
    said = [
        verdict,
        f"  {100 * d.accuracy:+.1f} points on {common}, 95 % interval {100 * low:+.1f} to {100 * high:+.1f}",
        f"  {d.only_first} only {first} gets right, {d.only_second} only {second} (McNemar p = {d.p_value:.2g})",
    ]
    if not pair.same_folder:
        said.append("  Their images lie in different folders and are matched by name and label.")
    return said
