"""What a probe is: a check of an algorithm that observes, and names the intervention that would prove it.

A probe reads measurements only, so it can be asked again after every experiment. What it observes becomes a finding by
one rule for all (:func:`judge`): an intervention outweighs every observation.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from diagnose.algorithm_context import AlgorithmContext, significant
from diagnose.check import Check, Cost, Need
from diagnose.findings import Estimate, Evidence, Finding, Kind, Outcome, Side
from diagnose.sandbox.measurements import Variant
from diagnose.sandbox.part_names import PARTS


class Certainty(IntEnum):
    """How sure an observation alone makes: nothing seen, a hint, or a fault that cannot be meant."""

    NONE = 0
    HINT = 1
    SURE = 2


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What a probe saw of one cause.

    Attributes:
        changes: Interventions that would take the cause away, most telling first.
        points: Accuracy that the cause costs where the measurements show it without a training of its own.
    """

    cause: str
    certainty: Certainty
    message: str = ""
    remedy: str = ""
    evidence: tuple[Evidence, ...] = ()
    changes: tuple[Variant, ...] = ()
    points: Estimate | None = None


class Probe(Check[AlgorithmContext]):
    """A frozen dataclass of thresholds that observes an algorithm's measurements."""

    side: ClassVar[Side] = Side.ALGORITHM
    needs: ClassVar[frozenset[Need]] = frozenset({Need.ALGORITHM})
    cost: ClassVar[Cost] = "train"

    @abstractmethod
    def observe(self, context: AlgorithmContext) -> list[Observation]:
        """One observation for every cause that the measurements speak of, also where nothing is wrong."""

    def run(self, context: AlgorithmContext) -> list[Finding]:
        """The observations as findings."""
        return [judge(context, self.name, observation) for observation in self.observe(context)]


def judge(context: AlgorithmContext, check: str, seen: Observation) -> Finding:
    """An observation and its interventions as a finding.

    An intervention that wins at least the context's threshold is a failure, for a mere hint too; for something not
    observed at all only where the algorithm is under the known-good recipe. A sure fault that wins nothing, or that
    costs nothing while nothing is amiss, is a remark. A hint that an intervention refutes passes.
    """
    change, points = best_change(context, seen)
    causal = points is not None and significant(points, context.threshold)
    evidence = seen.evidence
    if change is not None and points is not None:
        evidence = (*evidence, _gain_evidence(context, change, points))
    outcome = _outcome(context, seen.certainty, causal=causal, tried=points is not None)
    silent = outcome is Outcome.PASS
    # That another network does no better says nothing of what a fault in theirs costs.
    another = any("model" in tried.reference for tried in ((change,) if change is not None else seen.changes))
    return Finding(
        check=check,
        cause=seen.cause,
        side=Side.ALGORITHM,
        outcome=outcome,
        message="" if silent else seen.message,
        remedy="" if silent else seen.remedy,
        evidence=evidence,
        points=points if causal or not (silent or another) else None,
    )


def best_change(context: AlgorithmContext, seen: Observation) -> tuple[Variant | None, Estimate | None]:
    """The intervention that won most so far, and what it won."""
    if seen.points is not None:
        return None, seen.points
    tried = [(change, gain) for change in seen.changes if (gain := context.gain(change)) is not None]
    return max(tried, key=lambda pair: pair[1].value) if tried else (None, None)


def _outcome(context: AlgorithmContext, certainty: Certainty, *, causal: bool, tried: bool) -> Outcome:
    if causal and (certainty is not Certainty.NONE or context.under):
        return Outcome.FAIL
    if certainty is Certainty.SURE:
        return Outcome.FAIL if not tried and context.under else Outcome.REVIEW
    if certainty is Certainty.HINT and not tried and context.under:
        return Outcome.REVIEW
    return Outcome.PASS


def _gain_evidence(context: AlgorithmContext, change: Variant, points: Estimate) -> Evidence:
    runs = context.runs_of(context.combined(change))
    return Evidence(
        statistic=f"accuracy won: {describe(change)}",
        value=points.value,
        interval=points.interval,
        reference=context.threshold,
        sample_size=len(runs),
        kind=Kind.INTERVENTION,
    )


_PLAIN = Variant()
_FIELDS = {
    "augment": "augmentation off",
    "regularise": "dropout and weight decay off",
    "unfreeze": "frozen layers trained",
    "clip": "gradient clipping off",
    "reset": "weights initialised by default",
    "precise": "float32 throughout",
}


def describe(change: Variant) -> str:
    """A change in a few words: "known-good optimizer", "learning rate x 10", "all but the model known-good"."""
    words = []
    own = [part for part in PARTS if part not in change.reference]
    if len(own) == 1:
        words.append(f"all but the {own[0].replace('_', ' ')} known-good")
    elif change.reference:
        words.append(f"known-good {', '.join(part.replace('_', ' ') for part in change.reference)}")
    if change.learning_rate != 1:
        words.append(f"learning rate x {change.learning_rate:g}")
    if change.epochs != 1:
        words.append(f"epochs x {change.epochs:g}")
    words += [text for name, text in _FIELDS.items() if getattr(change, name) != getattr(_PLAIN, name)]
    return " and ".join(words) or "as it is"
