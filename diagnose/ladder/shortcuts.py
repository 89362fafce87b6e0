"""What ``zoo explain`` found of shortcuts, read from its file: places in the images that decide for a class."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from diagnose.findings import Evidence, Example, Finding, Kind, NotTested, Outcome, Side
from diagnose.rungs import Rung
from zoo.data.names import printable
from zoo.errors import DataError

SCHEMA = "zoovet.shortcuts/1"


def shortcut_rung(path: Path) -> Rung:
    """One finding of all places that an experiment confirmed, else of those that are only suspected.

    A place that was tested and not confirmed says nothing of others, so it passes nothing.

    Raises:
        DataError: It is no such file.
    """
    findings, tested = read_shortcuts(path)
    for outcome in (Outcome.FAIL, Outcome.REVIEW):
        if found := [finding for finding in findings if finding.outcome is outcome]:
            return Rung(findings=(_together(found),))
    if tested:
        return Rung()
    return Rung(not_tested=(NotTested(name="shortcut", needs="zoo explain RUN on more labelled images"),))


def read_shortcuts(path: Path) -> tuple[list[Finding], bool]:
    """The findings in the file, and whether any place was tested.

    Raises:
        DataError: It cannot be read, or is of another kind or version.
    """
    try:
        plain = json.loads(path.read_text("utf-8"))
        if plain["schema"] != SCHEMA:
            raise ValueError(f"its schema is {plain['schema']!r}, not {SCHEMA!r}")
        return [_finding(entry) for entry in plain["findings"]], bool(plain["tested"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{printable(str(path))} holds no shortcuts: {type(error).__name__}: {error}.",
            remedy="Make it again: zoo explain RUN writes shortcuts.json.",
        ) from error


def _together(findings: Sequence[Finding]) -> Finding:
    first, more = findings[0], len(findings) - 1
    others = f" {more} more {'place decides' if more == 1 else 'places decide'} for other classes." if more else ""
    return replace(
        first,
        message=first.message + (others if first.outcome is Outcome.FAIL else ""),
        evidence=tuple(evidence for finding in findings for evidence in finding.evidence),
        examples=tuple(example for finding in findings for example in finding.examples),
    )


def _finding(plain: dict[str, Any]) -> Finding:
    return Finding(
        check=str(plain["check"]),
        cause=str(plain["cause"]),
        side=Side(plain["side"]),
        outcome=Outcome(plain["outcome"]),
        message=str(plain["message"]),
        remedy=str(plain["remedy"]),
        evidence=tuple(_evidence(entry) for entry in plain["evidence"]),
        examples=tuple(Example(path=str(e["path"]), note=str(e["note"])) for e in plain["examples"]),
    )


def _evidence(plain: dict[str, Any]) -> Evidence:
    ends = plain["interval"]
    return Evidence(
        statistic=str(plain["statistic"]),
        value=float(plain["value"]),
        unit=str(plain["unit"]),
        reference=None if plain["reference"] is None else float(plain["reference"]),
        interval=None if ends is None else (float(ends[0]), float(ends[1])),
        sample_size=None if plain["sample_size"] is None else int(plain["sample_size"]),
        kind=Kind(plain["kind"]),
    )
