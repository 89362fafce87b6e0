"""Fit what the verdict may be fitted on, to the development half alone, and write it down as data.

    python -m benchmarks.faults.calibrate faults.jsonl            # prints how each choice does
    python -m benchmarks.faults.calibrate faults.jsonl --write    # and writes diagnose/calibrated.py

Two choices are open to it: the accuracy under which a cause is a remark, and the order of causes. Cases with data alone
are judged anew for each choice from the points in their rows. A choice replaces the present one only where it is right
in more cases; the checks' own thresholds and the order are not written, only compared.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.faults.run import read_rows
from benchmarks.faults.scoring import Scored, score
from diagnose import calibrated
from diagnose.check import DATA_CHECKS

Finding = dict[str, Any]
LEVELS = (0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05)
_TARGET = Path(__file__).parents[2] / "diagnose" / "calibrated.py"
#: Causes that fail for another reason than their points: they void the measurement, or have a rule of their own.
_APART = frozenset({"split-leakage", "too-few-images", "no-signal", "unreadable-files", "label-names"})


def _value(finding: Finding) -> float:
    return finding["points"]["value"] if finding["points"] else 0.0


def _surely(finding: Finding) -> float:
    return finding["points"]["interval"][0] if finding["points"] else 0.0


ORDERS: dict[str, Callable[[Finding], float]] = {
    "points, most first": lambda finding: -_value(finding),
    "points won surely, most first": lambda finding: -_surely(finding),
    "what voids the measurement, then points": lambda finding: -(_value(finding) if finding["points"] else 1.0),
}


def development(rows: Sequence[dict[str, Any]]) -> list[Scored]:
    """Cases of the development half with data alone whose right verdict is known."""
    return [
        s
        for s in score(rows)
        if s.row["half"] == "dev" and not s.row["file"] and not s.row["rung"] and s.expected != "remark"
    ]


def failing(s: Scored, least: float) -> list[Finding]:
    """The causes if those under ``least`` were remarks, and remarks above it causes."""
    said = s.row["said"]
    kept = [c for c in said["causes"] if c["name"] in _APART or not c["points"] or _value(c) >= least]
    raised = [
        r for r in said["remarks"] if r["points"] and r["name"] not in _APART and _value(r) >= least and _surely(r) > 0
    ]
    return [*kept, *raised]


def right(cases: Sequence[Scored], least: float) -> int:
    """How many verdicts would be right."""
    return sum((s.expected == "data") == bool(failing(s, least)) for s in cases)


def first(cases: Sequence[Scored], order: Callable[[Finding], float]) -> int:
    """How many planted causes would stand first."""
    found = 0
    for s in cases:
        causes = sorted(s.row["said"]["causes"], key=order)
        found += bool(causes) and causes[0]["name"] in s.row["data_causes"]
    return found


def best_level(cases: Sequence[Scored], present: float) -> float:
    """The level that is right most often; the present one unless another is right more often."""
    most = max(LEVELS, key=lambda level: right(cases, level))
    return most if right(cases, most) > right(cases, present) else present


def text(level: float, cases: int) -> str:
    """The module that the verdict reads."""
    return (
        '"""Chosen on the development half of the fault benchmark: written by ``python -m benchmarks.faults.calibrate``."""\n'
        f"\nNEGLIGIBLE = {level:g}  # accuracy under which a cause is a remark, from {cases} cases\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, nargs="+")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    cases = development([row for path in options.rows for row in read_rows(path)])
    print(
        f"checks: {len(DATA_CHECKS)}; cases of the development half: {len(cases)}\n\n| remark under | right |\n|---|---|"
    )
    for level in LEVELS:
        print(
            f"| {100 * level:g} points{' (present)' if level == calibrated.NEGLIGIBLE else ''} | {right(cases, level)} |"
        )
    planted = [s for s in cases if s.row["kind"] == "data"]
    print(f"\n| order of causes | first, of {len(planted)} |\n|---|---|")
    for name, order in ORDERS.items():
        print(f"| {name} | {first(planted, order)} |")
    level = best_level(cases, calibrated.NEGLIGIBLE)
    print(f"\nchosen: {level:g}")
    if options.write:
        _TARGET.write_text(text(level, len(cases)), encoding="utf-8")


if __name__ == "__main__":
    main()
