"""A verdict as text for the terminal and as JSON. The pages are made in ``diagnose.pages``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from textwrap import wrap
from typing import Any

from diagnose.ceiling import ENOUGH
from diagnose.findings import Ceiling, Conclusion, Edit, Estimate, Evidence, Finding, Kind, Matrix, Part, Verdict
from diagnose.verdict import shares
from zoo.data.names import printable

SCHEMA = 1
_SHOWN_CAUSES = 5
_SHOWN_EXAMPLES = 3
_WIDTH = 100
_EXIT = {
    Conclusion.NOTHING: 0,
    Conclusion.DATA: 3,
    Conclusion.ALGORITHM: 4,
    Conclusion.BOTH: 5,
    Conclusion.UNDETERMINED: 6,
}


def exit_status(verdict: Verdict) -> int:
    """0: nothing wrong; 3: data; 4: algorithm; 5: both; 6: undetermined."""
    return _EXIT[verdict.conclusion]


def text(verdict: Verdict) -> str:
    """What the terminal shows: the verdict, the points, at most five causes, remarks, and what was not tested."""
    lines = [verdict.summary, ""]
    lines += [f"  {line}" for line in _points(verdict)]
    lines += [f"  {line}" for line in _matrix(verdict.matrix)]
    for number, finding in enumerate(verdict.causes[:_SHOWN_CAUSES], start=1):
        lines += ["", *_cause(number, finding)]
    if len(verdict.causes) > _SHOWN_CAUSES:
        lines += ["", f"{len(verdict.causes) - _SHOWN_CAUSES} more causes: --json or the report has them."]
    if verdict.edit is not None:
        lines += ["", *_edit(verdict.edit)]
    if verdict.remarks:
        lines += ["", "Worth a look, but no reason for the verdict:"]
        lines += [
            line for finding in verdict.remarks[:_SHOWN_CAUSES] for line in _item(f"{finding.cause}: {finding.message}")
        ]
    if verdict.failures:
        lines += ["", "Checks that crashed (please report them):"]
        lines += [line for failure in verdict.failures for line in _item(f"{failure.check}: {failure.error}")]
    lines += _open_questions(verdict)
    return "\n".join(lines).rstrip() + "\n"


def as_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain values; the schema is documented in docs/diagnose.md and versioned by ``schema``."""
    data_share, algorithm_share = shares(verdict)
    return {
        "schema": SCHEMA,
        "verdict": str(verdict.conclusion),
        "strength": str(verdict.strength),
        "summary": verdict.summary,
        "points": {
            "target": verdict.target,
            "ceiling": _estimate(verdict.ceiling),
            "yours": _estimate(verdict.yours),
            "data": _estimate(data_share),
            "algorithm": _estimate(algorithm_share),
        },
        "ceiling": None if verdict.limits is None else _ceiling(verdict.limits, verdict.target),
        "matrix": {
            "A": _estimate(verdict.matrix.positive_control),
            "B": _estimate(verdict.matrix.reference),
            "C": _estimate(verdict.matrix.own_code),
            "D": _estimate(verdict.matrix.yours),
        },
        "part": None if verdict.part is None else _part(verdict.part),
        "causes": [_finding(finding) for finding in verdict.causes],
        "remarks": [_finding(finding) for finding in verdict.remarks],
        "edit": None if verdict.edit is None else _plain_edit(verdict.edit),
        "passed": list(verdict.passed),
        "controls": {
            control.name: {
                **(_estimate(control.accuracy) or {}),
                "seeds": control.seeds,
                "seconds": round(control.seconds, 3),
                "detail": control.detail,
            }
            for control in verdict.controls
        },
        "not_tested": [{"name": entry.name, "needs": entry.needs} for entry in verdict.not_tested],
        "failures": [{"check": failure.check, "error": failure.error} for failure in verdict.failures],
        "seconds": round(verdict.seconds, 3),
    }


def percent(value: float) -> str:
    """A fraction as ``87.6 %``."""
    return f"{100 * value:.1f} %"


def interval(estimate: Estimate) -> str:
    """An accuracy as ``87.6 % [85.0, 89.8]``."""
    low, high = estimate.interval
    return f"{percent(estimate.value)} [{100 * low:.1f}, {100 * high:.1f}]"


def points(estimate: Estimate) -> str:
    """A difference as ``+4.1 points [2.9, 5.2]``."""
    low, high = estimate.interval
    return f"{100 * estimate.value:+.1f} points [{100 * low:.1f}, {100 * high:.1f}]"


def statistic(evidence: Evidence) -> str:
    """A measured number in a few words: ``leaked 4.1 % [3.0, 5.5], of 720``."""
    share = evidence.unit in {"share", "points", "skill"} or "accuracy" in evidence.statistic
    value = percent(evidence.value) if share else f"{evidence.value:.4g}"
    if evidence.interval is not None:
        scale = 100 if share else 1
        value += f" [{scale * evidence.interval[0]:.3g}, {scale * evidence.interval[1]:.3g}]"
    of = f", of {evidence.sample_size}" if evidence.sample_size else ""
    return f"{evidence.statistic} {value}{of}"


def _points(verdict: Verdict) -> Iterator[str]:
    data_share, algorithm_share = shares(verdict)
    if verdict.target is not None:
        yield f"asked for       {percent(verdict.target)}"
    reference = verdict.matrix.reference or verdict.ceiling
    if reference is not None:
        yield f"known-good      {interval(reference)}"
    if verdict.limits is not None:
        yield f"at best         {at_best(verdict.limits)}"
    if verdict.yours is not None:
        where = "" if verdict.part is None else f", {extent(verdict.part)}"
        yield f"yours           {interval(verdict.yours)}{where}"
    if verdict.part is not None:
        yield f"on the same     {interval(verdict.part.possible)} by {verdict.part.by}"
    if data_share is not None and data_share.value > 0:
        yield f"short by data   {points(data_share)}"
    if algorithm_share is not None and algorithm_share.value > 0:
        yield f"by algorithm    {points(algorithm_share)}"
    yield f"certainty       {verdict.strength}"


def at_best(limits: Ceiling) -> str:
    """What the labels leave room for, and how far that may be believed."""
    ends = f"{percent(limits.given.interval[1])} on these labels, {percent(limits.corrected.interval[1])} on right ones"
    if limits.enough:
        return f"{ends}; right to within {100 * limits.self_test.stray:.1f} points on labels drawn anew"
    return f"{ends}; with {limits.smallest_class} images in the smallest class only a guess (under {ENOUGH})"


def extent(part: Part) -> str:
    """Of which pictures an accuracy is."""
    return f"learnt from {part.learnt} pictures and judged on {part.judged}"


def _ceiling(limits: Ceiling, target: float | None) -> dict[str, Any]:
    """Both ceilings, whether they prove the target out of reach, and the test of their ends on this very data."""
    test = limits.self_test
    return {
        "given": _estimate(limits.given),
        "corrected": _estimate(limits.corrected),
        "forbids_target": None if target is None else limits.forbids(target),
        "enough_images": limits.enough,
        "smallest_class": limits.smallest_class,
        "self_test": {
            "relabelled": list(test.shares),
            "expected": dict(zip(("low", "high"), ([_number(v) for v in end] for end in test.expected), strict=True)),
            "found": dict(zip(("low", "high"), ([_number(v) for v in end] for end in test.found), strict=True)),
            "stray": _number(test.stray),
        },
    }


def _matrix(matrix: Matrix) -> Iterator[str]:
    """The four cells, once the person's own column has something in it that the points do not show."""
    if matrix.own_code is None:
        return
    yield ""
    yield f"{'':16}{'known-good algorithm':24}your algorithm"
    for data, good, own in (
        ("known-good data", matrix.positive_control, matrix.own_code),
        ("your data", matrix.reference, matrix.yours),
    ):
        cells = ["not measured" if cell is None else interval(cell) for cell in (good, own)]
        yield f"{data:16}{cells[0]:24}{cells[1]}"


def _cause(number: int, finding: Finding) -> Iterator[str]:
    cost = "" if finding.points is None else f"  {points(finding.points)}"
    yield f"{number}. {finding.cause} ({finding.side}){cost}"
    yield from _indented(finding.message)
    for evidence in finding.evidence[:3]:
        yield from _indented(statistic(evidence))
    if finding.examples:
        shown = ", ".join(printable(example.path) for example in finding.examples[:_SHOWN_EXAMPLES])
        more = len(finding.examples) - _SHOWN_EXAMPLES
        yield from _indented(f"for example {shown}" + (f" and {more} more" if more > 0 else ""))
    if finding.remedy:
        yield from _indented(f"-> {finding.remedy}")


def _edit(edit: Edit) -> Iterator[str]:
    yield f"The edit of {printable(edit.file)} that mends it:"
    yield ""
    yield from (f"  {printable(line)}" for line in edit.diff.splitlines())
    yield ""
    yield from _indented(outcome_of(edit))


def outcome_of(edit: Edit) -> str:
    """What running the edited file showed, in a sentence."""
    if edit.after is None:
        return "It has not been run: --confirm runs a copy of your file with it."
    if edit.before is None:
        return f"Run with it: {interval(edit.after)}; without it the file comes to no end."
    won = "" if edit.gain is None else f", {points(edit.gain)}"
    return f"Run with it: {interval(edit.after)} instead of {interval(edit.before)}{won}."


def _part(part: Part) -> dict[str, Any]:
    return {"learnt": part.learnt, "judged": part.judged, "possible": _estimate(part.possible), "by": part.by}


def _plain_edit(edit: Edit) -> dict[str, Any]:
    return {
        "file": edit.file,
        "diff": edit.diff,
        "before": _estimate(edit.before),
        "after": _estimate(edit.after),
        "gain": _estimate(edit.gain),
    }


def _open_questions(verdict: Verdict) -> list[str]:
    if not verdict.not_tested:
        return []
    by_need: dict[str, list[str]] = {}
    for entry in verdict.not_tested:
        by_need.setdefault(entry.needs, []).append(entry.name)
    lines = ["", "Not tested:"]
    for needs, names in by_need.items():
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        lines += _item(f"{shown}: needs {needs}")
    return lines


def _item(message: str) -> list[str]:
    return wrap(message, _WIDTH, initial_indent="  - ", subsequent_indent="    ", break_long_words=False)


def _indented(message: str) -> list[str]:
    return wrap(message, _WIDTH, initial_indent="   ", subsequent_indent="   ", break_long_words=False)


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {"value": _number(estimate.value), "interval": [_number(end) for end in estimate.interval]}


def _number(value: float) -> float | None:
    """JSON has no NaN; what is not known is null."""
    return round(value, 6) if math.isfinite(value) else None


def _finding(finding: Finding) -> dict[str, Any]:
    intervention = finding.points is not None or any(e.kind is Kind.INTERVENTION for e in finding.evidence)
    return {
        "name": finding.cause,
        "check": finding.check,
        "side": str(finding.side),
        "points": _estimate(finding.points),
        "kind": str(Kind.INTERVENTION if intervention else Kind.OBSERVATION),
        "message": finding.message,
        "remedy": finding.remedy,
        "evidence": [
            {
                "statistic": evidence.statistic,
                "value": _number(evidence.value),
                "unit": evidence.unit,
                "reference": evidence.reference,
                "interval": None if evidence.interval is None else [_number(end) for end in evidence.interval],
                "sample_size": evidence.sample_size,
                "kind": str(evidence.kind),
            }
            for evidence in finding.evidence
        ],
        "examples": [example.path for example in finding.examples],
        "suggestions": {example.path: example.suggestion for example in finding.examples if example.suggestion},
    }
