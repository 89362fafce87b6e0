"""Results as JSON lines, one a case: what has its line is not run again, so that a benchmark can be stopped and goes on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

Row = dict[str, Any]
Case = TypeVar("Case")


def rows_of(path: Path) -> list[Row]:
    """The lines of a file, none where there is no file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def all_rows(
    path: Path, cases: Iterable[Case], run: Callable[[Case], Row], *, case_of: Callable[[Row], Case], seconds: float
) -> list[Row]:
    """The lines that are there and those of the cases that are not, each written as soon as it is known.

    Args:
        path: The file.
        cases: What to run.
        run: Runs one case.
        case_of: The case that a line is of.
        seconds: No case is started after this long.
    """
    rows = rows_of(path)
    done = {case_of(row) for row in rows}
    start = time.perf_counter()
    for case in cases:
        if case in done:
            continue
        if time.perf_counter() - start > seconds:
            print("There are more.", file=sys.stderr)
            break
        rows.append(run(case))
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    return rows
