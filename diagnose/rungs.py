"""What the rungs of the ladder beyond the data add to the results."""

from __future__ import annotations

from dataclasses import dataclass, replace

from diagnose.findings import (
    CheckFailure,
    Control,
    Edit,
    Estimate,
    Evidence,
    Example,
    Finding,
    NotTested,
    Outcome,
    Part,
    Side,
)
from diagnose.verdict import Results


@dataclass(frozen=True, kw_only=True)
class Rung:
    """What one thing that the person handed over shows.

    Attributes:
        findings: One for every cause that was looked at.
        controls: Accuracies that were measured.
        failures: Experiments of ours that failed.
        not_tested: Causes that stay open.
        yours: What their model or algorithm reaches on their data.
        known_good: What was shown possible on the same pictures; ``None`` where the reference's figure is it.
        gap: That minus theirs, where the two were compared picture by picture.
        part: Which pictures these were, where not all of them.
        uncompared: Why what they reach is not known, in words that end a sentence; empty where it is.
        own_code: Cell C: their algorithm on known-good data.
        own_line: Accuracy that cell C must reach.
        edit: What would mend their file.
    """

    findings: tuple[Finding, ...] = ()
    controls: tuple[Control, ...] = ()
    failures: tuple[CheckFailure, ...] = ()
    not_tested: tuple[NotTested, ...] = ()
    yours: Estimate | None = None
    known_good: Estimate | None = None
    gap: Estimate | None = None
    part: Part | None = None
    uncompared: str = ""
    own_code: Estimate | None = None
    own_line: float = 0.9
    edit: Edit | None = None

    def added_to(self, results: Results) -> Results:
        """The results with this rung. What the person's accuracy is, the first rung that knows it says."""
        tested = {finding.cause for finding in self.findings} | {entry.name for entry in self.not_tested}
        open_ = tuple(entry for entry in results.not_tested if entry.name not in tested)
        joined = replace(
            results,
            findings=_joined(results.findings, self.findings),
            controls=(*results.controls, *self.controls),
            failures=(*results.failures, *self.failures),
            not_tested=(*open_, *self.not_tested),
            edit=self.edit or results.edit,
            uncompared=self.uncompared or results.uncompared,
        )
        if self.own_code is not None:
            joined = replace(joined, own_code=self.own_code, own_line=self.own_line)
        return self._compared(joined)

    def _compared(self, results: Results) -> Results:
        known_good = self.known_good or results.reference
        if results.yours is not None or self.yours is None or known_good is None:
            return results
        allowed = [e for e in (results.ceiling or results.reference, self.known_good) if e is not None]
        return replace(
            results,
            yours=self.yours,
            # Of a part of the pictures less may be learnt than they allow: the higher figure is what they do.
            ceiling=max(allowed, key=lambda e: e.value),
            gap=self.gap or known_good - self.yours,
            paired=self.gap is not None,
            part=self.part,
        )


def algorithm_finding(
    check: str,
    cause: str,
    outcome: Outcome,
    message: str,
    remedy: str,
    *evidence: Evidence,
    examples: tuple[Example, ...] = (),
    points: Estimate | None = None,
) -> Finding:
    """What a rung says of one cause on the algorithm's side."""
    return Finding(
        check=check,
        cause=cause,
        side=Side.ALGORITHM,
        outcome=outcome,
        message=message,
        remedy=remedy,
        evidence=evidence,
        examples=examples,
        points=points,
    )


def _joined(before: tuple[Finding, ...], after: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Both; of one cause that both speak of, what the stronger evidence says."""
    joined = list(before)
    for finding in after:
        rivals = [f for f in before if (f.cause, f.side) == (finding.cause, finding.side)]
        if any(_weight(rival) >= _weight(finding) for rival in rivals):
            continue
        joined = [f for f in joined if not any(f is rival for rival in rivals)] + [finding]
    return tuple(joined)


_OUTCOMES = (Outcome.NOT_APPLICABLE, Outcome.PASS, Outcome.REVIEW, Outcome.FAIL)


def _weight(finding: Finding) -> tuple[bool, int]:
    """An experiment outweighs what was only seen; among equals the graver outcome counts."""
    return finding.tried, _OUTCOMES.index(finding.outcome)
