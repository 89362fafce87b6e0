"""Print and draw the figures of the fault benchmark.

python -m benchmarks.faults.report faults.jsonl
python -m benchmarks.faults.report faults.jsonl --half dev --verbose      # every wrong verdict of the half to work on
python -m benchmarks.faults.report faults.jsonl --plot faults.png
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.faults.drawing import Figure, plot
from benchmarks.faults.run import read_rows
from benchmarks.faults.scoring import (
    VERDICTS,
    Scored,
    always_algorithm,
    bare_rule,
    best_threshold,
    confusion,
    coverage,
    score,
    share,
)

_NOTHING = "nothing"
_HALVES = {"dev": "half to choose on", "report": "reported half"}


def figures(scored: Sequence[Scored], threshold: float) -> list[Figure]:
    """Shares of one half, and of how many cases they are."""
    judged = [s for s in scored if s.expected != "remark"]
    healthy = [s for s in judged if s.expected == _NOTHING]
    faulty = [s for s in judged if s.expected != _NOTHING]
    planted = [s for s in faulty if s.row["kind"] != "healthy"]
    remarks = [s for s in scored if s.expected == "remark" and s.row["kind"] != "healthy"]
    rows = (
        ("verdict right, undetermined counted as wrong", (s.right for s in judged)),
        ("verdict right where something is wrong", (s.right for s in faulty)),
        ("wrong verdict, not undetermined", (s.wrong for s in judged)),
        ("undetermined", (s.said == "undetermined" for s in judged)),
        ("false alarm on a healthy case", (s.said != _NOTHING for s in healthy)),
        ("cause first", (s.rank == 1 for s in planted)),
        ("cause among the first three", (0 < s.rank <= 3 for s in planted)),
        ("cause named at all, of faults under 3 points", (s.named for s in remarks)),
        ("verdict nothing, of faults under 3 points", (s.said == _NOTHING for s in remarks)),
        ('baseline "always algorithm" right', always_algorithm(judged)),
        (f'baseline "probe under {threshold:.0%} means data" right', bare_rule(judged, threshold)),
    )
    counted = [(title, share(flags)) for title, flags in rows]
    return [
        *counted,
        *((f"95 % interval of the {title} holds the truth", found) for title, found in coverage(scored).items()),
    ]


def table(scored: Sequence[Scored], threshold: float) -> Iterator[str]:
    """The figures of one half."""
    healthy = sum(s.expected == _NOTHING for s in scored)
    yield f"| {len(scored)} cases, {healthy} healthy | share | cases |"
    yield "|---|---|---|"
    for title, found in figures(scored, threshold):
        yield _line(title, found)
    minutes = [s.row["seconds"] / 60 for s in scored]
    if minutes:
        yield f"| minutes a case, median and longest | {np.median(minutes):.1f}, {max(minutes):.1f} | {len(minutes)} |"


def _line(title: str, found: tuple[float, int]) -> str:
    return f"| {title} | {'-' if not found[1] else f'{100 * found[0]:.0f} %'} | {found[1]} |"


def matrix(scored: Sequence[Scored]) -> Iterator[str]:
    """Right verdicts by given ones."""
    yield "| right \\ said | " + " | ".join(VERDICTS) + " |"
    yield "|---" * (len(VERDICTS) + 1) + "|"
    for right, counts in confusion(scored).items():
        yield f"| {right} | " + " | ".join(str(counts[given]) for given in VERDICTS) + " |"


def severities(scored: Sequence[Scored]) -> Iterator[str]:
    """Verdict and cause by what the fault costs."""
    yield "| fault costs | verdict right | cause first | cases |"
    yield "|---|---|---|---|"
    faulty = [s for s in scored if s.row["kind"] == "data"]
    for low, high in ((0.0, 0.03), (0.03, 0.06), (0.06, 0.12), (0.12, 1.01)):
        mine = [s for s in faulty if low <= s.row["cost"] < high]
        if mine:
            right, first = share(s.right for s in mine)[0], share(s.rank == 1 for s in mine)[0]
            yield f"| {100 * low:.0f}-{min(100.0, 100 * high):.0f} points | {right:.0%} | {first:.0%} | {len(mine)} |"


def causes(scored: Sequence[Scored]) -> Iterator[str]:
    """Each cause: how often it is named where a fault that costs was planted under it, and where none was."""
    yield "| cause | planted | named | named where not planted | of those on healthy cases |"
    yield "|---|---|---|---|---|"
    judged = [s for s in scored if s.expected != "remark"]
    canonical = {s.row["case"]: [c[0] for c in (s.row["data_causes"], s.row["code_causes"]) if c] for s in judged}
    said = {s.row["case"]: {cause["name"] for cause in s.row["said"]["causes"]} for s in judged}
    accepted = {s.row["case"]: {*s.row["data_causes"], *s.row["code_causes"]} for s in judged}
    for cause in sorted({name for names in (*canonical.values(), *said.values()) for name in names}):
        mine = [s for s in judged if cause in canonical[s.row["case"]]]
        named = sum(bool(said[s.row["case"]] & accepted[s.row["case"]]) for s in mine)
        false = [s for s in judged if cause in said[s.row["case"]] - accepted[s.row["case"]]]
        healthy = sum(s.expected == _NOTHING for s in false)
        yield f"| {cause} | {len(mine)} | {named} | {len(false)} | {healthy} |"


def mistakes(scored: Sequence[Scored]) -> Iterator[str]:
    """Every verdict that is not right, and every cause that is not first."""
    for s in scored:
        if s.expected == "remark" or (s.right and (s.rank == 1 or s.row["kind"] == "healthy")):
            continue
        causes = [_named(c) for c in s.row["said"]["causes"]]
        remarks = [c["name"] for c in s.row["said"]["remarks"]]
        reached = {k: v[0] for k, v in s.row["said"]["controls"].items() if k in ("reference", "theirs", "known-good")}
        yield f"{s.row['case']}: right {s.expected} ({s.row['cost']:.2f}), said {s.said} {causes} {remarks} {reached}"


def _named(cause: dict) -> str:
    points = cause["points"]
    return cause["name"] + (f" {100 * points['value']:+.1f}" if points else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--half", default="", choices=["", "dev", "report"])
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    rows = read_rows(options.rows)
    everything = score(rows)
    threshold = best_threshold([s for s in everything if s.row["half"] == "dev"])
    for half in ("dev", "report") if not options.half else (options.half,):
        mine = [s for s in everything if s.row["half"] == half]
        failed = [row["case"] for row in rows if "said" not in row and row["half"] == half]
        print(f"\n## {half}\n")
        for part in (
            table(mine, threshold),
            matrix(mine),
            severities(mine),
            causes(mine),
            mistakes(mine) if options.verbose else (),
        ):
            print("\n".join(part) + "\n")
        if failed:
            print("did not run:", failed)
        if options.plot:
            path = options.plot.with_stem(f"{options.plot.stem}-{half}")
            plot(mine, figures(mine, threshold), path, _HALVES[half])


if __name__ == "__main__":
    main()
