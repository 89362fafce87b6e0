"""Other tools on the same cases: what each reports, and how often that makes the right verdict.

    pip install "cleanlab[datalab]" cleanvision dataeval torchtest2 torch-audit torchmortem mldoct runmedic
    python -m benchmarks.faults.rivals --out rivals.jsonl [--half dev] [--about data] [--minutes 15]
    python -m benchmarks.faults.rivals --out rivals.jsonl --rows faults.jsonl --report

Tools for data see the cases with data alone, tools for code those with training code, tools for logs those with a log. A
tool for data says "data" where a share of the pictures has an issue of a kind that lies above what any healthy set of the
development half has; a tool for code or logs says "algorithm" where a check fails. Data tools are given our features, and
out-of-fold probabilities by logistic regression on them where they take such. Install the tools in an environment of their
own: nothing else needs them. One JSON line a case and tool; what has its line is not run again.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.faults.registry import Case, cases
from benchmarks.faults.run import VALIDATION, hand_over, read_rows, spoilt
from benchmarks.faults.scoring import Scored, score, share
from benchmarks.faults.tools import code, data, logs
from benchmarks.faults.worlds import world

Issues = dict[str, float]
Row = dict[str, Any]
About = Literal["data", "code", "log"]
#: By what they look at: name, package, and how it is called.
TOOLS: dict[About, dict[str, tuple[str, Callable[[Any], Issues]]]] = {
    "data": dict(data.TOOLS),
    "code": dict(code.TOOLS),
    "log": dict(logs.TOOLS),
}


def about(case: Case) -> About | None:
    """Which tools apply to the case; none look at predictions."""
    if case.file:
        return "code"
    return {"": "data", "log": "log"}.get(case.rung)  # type: ignore[return-value]


def run_case(case: Case, names: Sequence[str]) -> Iterator[Row]:
    """One row for each of these tools."""
    kind = about(case)
    assert kind is not None
    faulty = spoilt(case, world(case.source, case.seed, train=case.train, validation=VALIDATION))
    with tempfile.TemporaryDirectory() as scratch:
        folder = faulty.write(Path(scratch) / "pictures")
        given: Callable[[], Any] = lambda: folder  # noqa: E731 - one of three
        if kind == "code":
            path = Path(scratch) / "train.py"
            path.write_text(case.text, encoding="utf-8")
            given = partial(code.handed, path, folder)
        elif kind == "log":
            log = hand_over(case, folder, Path(scratch))[0]["log"]
            given = lambda: log  # noqa: E731
        for name in names:
            package, tool = TOOLS[kind][name]
            start = time.monotonic()
            row: Row = {"case": case.name, "tool": name, "version": version(package)}
            try:
                with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    row["issues"] = tool(given())
            except Exception as error:  # noqa: BLE001 - whatever it dies of, the others go on
                row["error"] = f"{type(error).__name__}: {error}"[:200]
            yield {**row, "seconds": round(time.monotonic() - start, 1)}


def verdicts(rows: Sequence[Row], scored: Sequence[Scored], kind: About) -> list[tuple[Scored, bool]]:
    """Each case with whether the tool's verdict is right."""
    found = {row["case"]: row for row in rows}
    judged = [s for s in scored if s.row["case"] in found and s.expected != "remark"]
    limits: dict[str, float] = {}
    if kind == "data":
        limits = _limits([(found[s.row["case"]], s) for s in judged if s.row["half"] == "dev"])

    def says(s: Scored) -> str:
        row = found[s.row["case"]]
        if kind == "data":
            raised = any(value > limits.get(issue, 0.0) for issue, value in row.get("issues", {}).items())
            return "data" if raised else "nothing"
        return "nothing" if row.get("issues") == {} else "algorithm"  # where it died, the code is broken

    return [(s, says(s) == s.expected) for s in judged]


def _limits(pairs: Sequence[tuple[Row, Scored]]) -> dict[str, float]:
    """For each kind of issue the share of pictures that no healthy set exceeds."""
    kinds = {kind for row, _ in pairs for kind in row.get("issues", {})}
    healthy = [row.get("issues", {}) for row, s in pairs if s.expected == "nothing"]
    return {kind: max((issues.get(kind, 0.0) for issues in healthy), default=0.0) for kind in kinds}


def table(rows: Sequence[Row], scored: Sequence[Scored], half: str) -> Iterator[str]:
    """One line a tool: how often it is right, beside the diagnosis on the same cases."""
    yield "| tool | right | alarm on a healthy case | zoo diagnose on the same cases | cases | died | seconds a case |"
    yield "|---|---|---|---|---|---|---|"
    for kind, tools in TOOLS.items():
        for name in tools:
            mine = [row for row in rows if row["tool"] == name]
            judged = [(s, right) for s, right in verdicts(mine, scored, kind) if s.row["half"] == half]
            if judged:
                yield _line(name, mine, judged)


def _line(name: str, rows: Sequence[Row], judged: Sequence[tuple[Scored, bool]]) -> str:
    here = {s.row["case"] for s, _ in judged}
    mine = [row for row in rows if row["case"] in here]
    theirs, n = share(right for _, right in judged)
    alarms, healthy = share(not right for s, right in judged if s.expected == "nothing")
    ours = share(s.right for s, _ in judged)[0]
    died = sum("error" in row for row in mine)
    seconds = np.median([row["seconds"] for row in mine])
    alarm = f"{alarms:.0%} of {healthy}" if healthy else "-"
    return f"| {name} {mine[0]['version']} | {theirs:.0%} | {alarm} | {ours:.0%} | {n} | {died} | {seconds:.1f} |"


def installed(kind: About) -> list[str]:
    """Names of the tools for this that are there."""
    names = []
    for name, (package, _) in TOOLS[kind].items():
        with contextlib.suppress(PackageNotFoundError):
            version(package)
            names.append(name)
    return names


def run(chosen: Sequence[Case], out: Path, seconds: float) -> None:
    """Add a row for each case and tool that has none; begin no case after so many seconds."""
    end = time.monotonic() + seconds
    done = {(row["case"], row["tool"]) for row in read_rows(out)}
    for number in np.random.default_rng(0).permutation(len(chosen)):  # so that a slice is a sample of the whole
        case, kind = chosen[number], about(chosen[number])
        names = [] if kind is None else [name for name in installed(kind) if (case.name, name) not in done]
        if time.monotonic() > end or not names:
            continue
        for row in run_case(case, names):
            with out.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
            print(case.half, row, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("rivals.jsonl"))
    parser.add_argument("--rows", type=Path, default=Path("faults.jsonl"), help="what benchmarks.faults.run wrote")
    parser.add_argument("--half", default="", choices=["", "dev", "report"])
    parser.add_argument("--about", default="", choices=["", *TOOLS])
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no case after this")
    parser.add_argument("--report", action="store_true", help="print the table of what is there")
    options = parser.parse_args()
    os.environ.setdefault("ZOO_CACHE", str(options.out.resolve().parent / "faults-cache"))
    if options.report:
        scored = score(read_rows(options.rows))
        for half in ("dev", "report"):
            print(f"\n## {half}\n\n" + "\n".join(table(read_rows(options.out), scored, half)))
        return
    chosen = [c for c in cases() if options.half in ("", c.half) and options.about in ("", about(c))]
    run(chosen, options.out, 60 * options.minutes)


if __name__ == "__main__":
    main()
