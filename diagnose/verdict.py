"""From what was measured to one of five answers. Pure: no files, no models, no randomness, no formatting of reports.

|  | known-good algorithm | the person's algorithm |
|---|---|---|
| known-good data | A: positive control | C: is their code sound? |
| their data | B: what the data allows | D: the complaint |

Two rules stand above the table. Absence of success is no evidence against the data: ``data`` and ``both`` need a data
check that failed. And nothing is blamed on the data before the positive control has shown that the known-good model
works here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from diagnose.calibrated import NEGLIGIBLE
from diagnose.findings import (
    Ceiling,
    CheckFailure,
    Conclusion,
    Control,
    Edit,
    Estimate,
    Finding,
    Matrix,
    NotTested,
    Outcome,
    Part,
    Side,
    Strength,
    Verdict,
)

_EQUIVALENT = 0.03  # a gap below this is none, unless it is significant
#: Where the first fails, the others are what it looks like: they are read off labels that say nothing, or off a learning
#: curve that rises because more pictures are known by heart.
_CONSEQUENCES = {
    "no-signal": frozenset({"class-overlap", "label-names", "label-noise"}),
    "split-leakage": frozenset({"too-few-images"}),
    "group-leakage": frozenset({"too-few-images"}),
}


class Level(Enum):
    """Where an accuracy stands against its line, its interval considered."""

    GOOD = "good"
    BAD = "bad"
    UNCLEAR = "unclear"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that was measured.

    Attributes:
        positive_control: Cell A.
        positive_line: Accuracy that cell A must exceed with its whole interval for the installation to be trusted.
        reference: Cell B: the best control's held-out accuracy on the person's data.
        ceiling: The best accuracy that this data allows, where it could be estimated.
        limits: The same with its self-test, on given and on corrected labels.
        yours: Cell D.
        gap: Reference minus theirs on the same images, where both are known; the plain difference otherwise.
        paired: Whether ``gap`` compares the two on the very same images.
        part: Which images these were, where not all of them.
        own_code: Cell C: the person's algorithm on the known-good data.
        own_line: Accuracy that cell C must reach.
        target: The accuracy asked for, a fraction.
        controls: All cells, for the report.
        findings: What the checks found.
        failures: Checks that crashed.
        not_tested: What is left open.
        edit: What would mend the person's file.
        uncompared: Why the accuracy of what was handed over is not known; empty where it is, or nothing was.
        unusable: Why the experiment could not be made at all; empty where it was.
        seconds: What it all took.
    """

    positive_control: Estimate | None = None
    positive_line: float = 0.9
    reference: Estimate | None = None
    ceiling: Estimate | None = None
    limits: Ceiling | None = None
    yours: Estimate | None = None
    gap: Estimate | None = None
    paired: bool = False
    part: Part | None = None
    own_code: Estimate | None = None
    own_line: float = 0.9
    target: float | None = None
    controls: tuple[Control, ...] = ()
    findings: tuple[Finding, ...] = ()
    failures: tuple[CheckFailure, ...] = ()
    not_tested: tuple[NotTested, ...] = ()
    edit: Edit | None = None
    uncompared: str = ""
    unusable: str = ""
    seconds: float = 0.0


def judge(points: Estimate | None, *, untrustworthy: bool = False) -> Outcome:
    """Whether a finding is a failure: it costs a point or more, its interval above 0, or it voids the measurement."""
    if untrustworthy:
        return Outcome.FAIL
    costly = points is not None and points.value >= NEGLIGIBLE and points.interval[0] > 0
    return Outcome.FAIL if costly else Outcome.REVIEW


def level(accuracy: Estimate | None, line: float) -> Level:
    """Good where the whole interval reaches the line, bad where all of it lies below, unclear where it straddles."""
    if accuracy is None:
        return Level.UNKNOWN
    if accuracy.interval[0] >= line:
        return Level.GOOD
    return Level.BAD if accuracy.interval[1] < line else Level.UNCLEAR


def adjudicate(results: Results) -> Verdict:
    """The verdict. One row of the table after the other; see the module's head."""
    data = _without_consequences(_failed(results, Side.DATA))
    algorithm = _failed(results, Side.ALGORITHM)
    conclusion, strength, summary = _conclude(results, data, algorithm)
    causes = {
        Conclusion.DATA: data,
        Conclusion.ALGORITHM: algorithm,
        Conclusion.BOTH: (*data, *algorithm),
        Conclusion.NOTHING: (),
        Conclusion.UNDETERMINED: (*data, *algorithm),
    }[conclusion]
    chosen = {id(finding) for finding in causes}
    other = tuple(
        finding
        for finding in results.findings
        if finding.outcome is Outcome.REVIEW or (finding.outcome is Outcome.FAIL and id(finding) not in chosen)
    )
    flagged = {finding.check for finding in (*causes, *other)}
    passed = {finding.check for finding in results.findings if finding.outcome is Outcome.PASS} - flagged
    return Verdict(
        conclusion=conclusion,
        strength=strength,
        summary=summary,
        target=results.target,
        ceiling=results.ceiling or results.reference,
        limits=results.limits,
        yours=results.yours,
        gap=results.gap,
        part=results.part,
        causes=tuple(sorted(causes, key=_weight)),
        remarks=tuple(sorted((replace(finding, outcome=Outcome.REVIEW) for finding in other), key=_weight)),
        passed=tuple(sorted(passed)),
        edit=results.edit if any(finding.side is Side.ALGORITHM for finding in causes) else None,
        matrix=Matrix(
            positive_control=results.positive_control,
            reference=results.reference,
            own_code=results.own_code,
            yours=results.yours,
        ),
        controls=results.controls,
        not_tested=results.not_tested,
        failures=results.failures,
        seconds=results.seconds,
    )


def shares(verdict: Verdict) -> tuple[Estimate | None, Estimate | None]:
    """The accuracy missing on the data's side (target - ceiling) and on the algorithm's.

    The algorithm's is the gap that the verdict was drawn from, on the same pictures where there were such; else
    ceiling - yours.
    """
    ceiling, yours = verdict.ceiling, verdict.yours
    asked = None if verdict.target is None else Estimate(value=verdict.target, interval=(verdict.target,) * 2)
    data = None if asked is None or ceiling is None else asked - ceiling
    if verdict.gap is not None or yours is None or ceiling is None:
        return data, verdict.gap
    return data, ceiling - yours


Answer = tuple[Conclusion, Strength, str]


def _conclude(results: Results, data: tuple[Finding, ...], algorithm: tuple[Finding, ...]) -> Answer:  # noqa: PLR0911 - one return a row
    """The answer from the cells and from what failed on either side."""
    if results.unusable:
        return Conclusion.UNDETERMINED, Strength.NONE, f"Cannot tell: {results.unusable}"
    blame = _blames_algorithm(results, algorithm)
    failing = _complaint(results, data, algorithm)
    if failing is Level.GOOD and results.uncompared and results.yours is None:
        return Conclusion.UNDETERMINED, Strength.NONE, f"Cannot tell: {results.uncompared}"
    if failing is Level.GOOD:
        return _nothing(results)
    reference = Level.UNKNOWN if results.target is None else level(results.reference, results.target)
    if reference is Level.GOOD:
        return _algorithm(results, algorithm)
    if not _trusted(results):
        return _untrusted(results)
    if data and results.own_code is not None and level(results.own_code, results.own_line) is Level.BAD:
        return _both(results, data, algorithm)
    if data:
        return _both(results, data, algorithm) if blame else _data(data)
    if blame and _explains(results):
        return _algorithm(results, algorithm)
    if failing is Level.UNCLEAR:
        return _straddles(results)
    return _open(results)


def _complaint(results: Results, data: tuple[Finding, ...], algorithm: tuple[Finding, ...]) -> Level:
    """Whether there is a failure at all: GOOD where there is none."""
    if results.target is not None:
        return level(results.yours or results.reference, results.target)
    if data or algorithm:
        return Level.BAD
    if results.gap is None:
        return Level.GOOD
    if results.gap.interval[0] > 0 and results.gap.value >= NEGLIGIBLE:
        return Level.BAD
    return Level.GOOD if results.gap.value < _EQUIVALENT else Level.UNCLEAR


def _blames_algorithm(results: Results, algorithm: tuple[Finding, ...]) -> bool:
    """Whether the person's own code is shown to lose accuracy that the same data gives to another."""
    gap = results.gap
    return bool(algorithm) or (gap is not None and gap.interval[0] > 0 and gap.value >= NEGLIGIBLE)


def _explains(results: Results) -> bool:
    """Whether the gap to the reference is at least half of what is missing; without a target it is all of it."""
    if results.target is None or results.gap is None or results.yours is None:
        return True
    return results.gap.value >= (results.target - results.yours.value) / 2


def _trusted(results: Results) -> bool:
    """Whether the known-good model was shown to work here."""
    return level(results.positive_control, results.positive_line) is Level.GOOD


def _failed(results: Results, side: Side) -> tuple[Finding, ...]:
    return tuple(f for f in results.findings if f.outcome is Outcome.FAIL and f.side is side)


def _without_consequences(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The findings but for those that another one explains."""
    found = {finding.cause for finding in findings}
    explained = {cause for reason, causes in _CONSEQUENCES.items() if reason in found for cause in causes}
    return tuple(finding for finding in findings if finding.cause not in explained)


def _weight(finding: Finding) -> tuple[float, bool, str]:
    """Most points first; where none are known, interventions before observations."""
    points = finding.points.value if finding.points is not None else 0.0
    return -points, not finding.tried, finding.cause


def _strength(findings: tuple[Finding, ...]) -> Strength:
    return Strength.CONCLUSIVE if any(finding.tried for finding in findings) else Strength.SUGGESTIVE


def _nothing(results: Results) -> Answer:
    if results.target is not None:
        return Conclusion.NOTHING, Strength.CONCLUSIVE, "Nothing wrong: the accuracy reaches what was asked for."
    if results.gap is not None:
        strength = Strength.CONCLUSIVE if results.paired else Strength.SUGGESTIVE
        return (
            Conclusion.NOTHING,
            strength,
            "Nothing wrong: your figure is what a known-good model reaches on this data.",
        )
    return (
        Conclusion.NOTHING,
        Strength.SUGGESTIVE,
        "Nothing wrong found: no check of the data found a cause that costs.",
    )


def _algorithm(results: Results, algorithm: tuple[Finding, ...]) -> Answer:
    strength = Strength.CONCLUSIVE if results.paired or results.own_code else _strength(algorithm)
    if results.yours is None and not algorithm:
        return (
            Conclusion.NOTHING,
            Strength.SUGGESTIVE,
            "Nothing wrong with the data: a known-good model reaches the target.",
        )
    if results.yours is None and results.target is None:
        return Conclusion.ALGORITHM, strength, f"The algorithm: {_names(algorithm)}."  # nothing was compared
    if level(results.own_code, results.own_line) is Level.GOOD:
        where = (
            "The algorithm, in how it meets this data: it works on known-good data, and a known-good model on yours."
        )
        return Conclusion.ALGORITHM, strength, where
    better = "a known-good model" if results.part is None else results.part.by
    return Conclusion.ALGORITHM, strength, f"The algorithm: {better} does better on the same data."


def _data(data: tuple[Finding, ...]) -> Answer:
    return Conclusion.DATA, _strength(data), f"The data: {_names(data)}."


def _both(results: Results, data: tuple[Finding, ...], algorithm: tuple[Finding, ...]) -> Answer:
    compared = results.yours is not None or not algorithm
    why = ", which a known-good model beats on the same data" if compared else f" ({_names(algorithm)})"
    summary = f"Both: the data ({_names(data)}), and the algorithm{why}."
    return Conclusion.BOTH, _strength(data), summary


def _names(findings: tuple[Finding, ...]) -> str:
    names = list(dict.fromkeys(finding.cause for finding in sorted(findings, key=_weight)))
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _untrusted(results: Results) -> Answer:
    if results.positive_control is None:
        summary = "Cannot tell: the positive control has not been run, so a failure here may be the installation's."
    else:
        summary = "Cannot tell: the known-good model fails on known-good data here; mend the installation first."
    return Conclusion.UNDETERMINED, Strength.NONE, summary


def _straddles(results: Results) -> Answer:
    line = "the target" if results.target is not None else "what a known-good model reaches"
    summary = f"Cannot tell yet: the accuracy's interval straddles {line}; more held-out images would settle it."
    return Conclusion.UNDETERMINED, Strength.NONE, summary


def _open(results: Results) -> Answer:
    settle = next((test.needs for test in results.not_tested if test.name == "reference"), "")
    summary = "Cannot tell: a known-good model falls short here too, and no check found why."
    if results.target is not None and results.limits is not None and results.limits.forbids(results.target):
        bound = 100 * results.limits.given.interval[1]
        summary += f" No classifier that sees the images as the frozen models do can exceed {bound:.0f} %."
    if settle:
        summary += f" It would be settled by {settle}."
    return Conclusion.UNDETERMINED, Strength.NONE, summary
