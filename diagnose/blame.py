"""Which of the causes that were seen and tried are to blame. Pure: reads measurements, trains nothing.

An intervention that won is a cause. Where the algorithm stays under the known-good recipe and none did, the likeliest is
named all the same: a fault that only another network takes away, a hint that there was no time to try, one that won enough
though by chance it may, or random weights where the known-good network has pretrained ones; nothing in particular comes last.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from diagnose.algorithm_context import REFERENCE, AlgorithmContext
from diagnose.findings import Estimate, Finding, Outcome, Side
from diagnose.probe import Certainty, Observation, Probe, best_change, describe, judge
from diagnose.probes.frozen import is_pretrained
from diagnose.sandbox.measurements import Variant

#: Causes that replacing the whole network takes away, and the gap from which on they are the likeliest under random weights.
WHOLE_NETWORK = frozenset({"overfitting", "capacity"})
_FAR = 0.15
_OUTCOMES = (Outcome.FAIL, Outcome.REVIEW, Outcome.PASS, Outcome.NOT_APPLICABLE)
Seen = Sequence[tuple[Probe, Observation]]


def blamed(
    context: AlgorithmContext, seen: Seen, settled: Mapping[str, Finding], known: Collection[str]
) -> list[Finding]:
    """A finding for every cause that was looked at, most likely cause first.

    Args:
        context: All measurements.
        seen: What every probe sees in them, surest first.
        settled: Findings of causes that were mended in their turn, as they were judged then.
        known: Causes that were seen for sure before they were mended.
    """
    found = dict(settled)
    for probe, observation in seen:
        finding = judge(context, probe.name, observation)
        # A hint that a settled cause explains is not a second cause: only what was mended in its turn is.
        if observation.certainty is not Certainty.SURE and observation.points is None and settled:
            finding = replace(finding, outcome=Outcome.PASS, message="", remedy="", points=None)
        found.setdefault(finding.cause, finding)
    gap = context.gap()
    if gap is not None and context.under and not any(f.outcome is Outcome.FAIL for f in found.values()):
        likely = _unrefuted(seen) or ([] if context.hungry else _untried(context, seen, settled))
        for cause in likely:
            found[cause] = replace(found[cause], outcome=Outcome.FAIL, points=None)
        if not likely and not context.hungry:
            found |= {left.cause: left for left in _left(context, seen, gap)}
    sure = {*known, *(o.cause for _, o in seen if o.certainty is Certainty.SURE)}
    return sorted(found.values(), key=lambda f: _importance(f, seen=f.cause in sure))


def far_from_pretrained(context: AlgorithmContext) -> bool:
    """Whether a network without pretrained weights is far under the known-good recipe."""
    gap, model = context.gap(), context.model
    return gap is not None and gap.value > _FAR and model is not None and not is_pretrained(model)


def _unrefuted(seen: Seen) -> list[str]:
    """Causes seen for sure that only another network takes away: that it does no better refutes no fault of theirs."""
    sure = [o for _, o in seen if o.certainty is Certainty.SURE]
    return [o.cause for o in sure if any("model" in change.reference for change in o.changes)]


def _untried(context: AlgorithmContext, seen: Seen, settled: Mapping[str, Finding]) -> list[str]:
    """Causes hinted at that there was no time to try: with a gap that nothing else explains they are the likeliest."""
    hints = [o for _, o in seen if o.certainty is Certainty.HINT and o.points is None]
    open_ = [o for o in hints if o.changes and all(context.gain(change) is None for change in o.changes)]
    return [o.cause for o in open_ if o.cause not in settled]


def _left(context: AlgorithmContext, seen: Seen, gap: Estimate) -> list[Finding]:
    """What is left to blame for a gap that no change explains and no hint is open for."""
    if promising := _promising(context, seen):
        return promising
    network = _untried_network(context, seen) if far_from_pretrained(context) else None
    return [network or _unexplained(context, gap)]


def _promising(context: AlgorithmContext, seen: Seen) -> list[Finding]:
    """What was seen and won as much as a cause has to, though by its interval that may be chance: likelier than nothing."""
    likely = []
    for probe, observation in seen:
        _, gain = best_change(context, observation)
        if observation.certainty is not Certainty.NONE and gain is not None and gain.value >= context.threshold:
            likely.append(replace(_failed(context, probe, observation), points=gain))
    return likely


def _untried_network(context: AlgorithmContext, seen: Seen) -> Finding | None:
    """Their network as the cause, where there was no time to try any other: the known-good one has that much more in it."""
    for probe, observation in seen:
        untried = any(context.gain(change) is None for change in observation.changes)
        if observation.cause in WHOLE_NETWORK and untried:
            words = f"{observation.message} Yours starts from random weights, the known-good one from pretrained ones."
            return replace(_failed(context, probe, observation), message=words, points=None)
    return None


def _failed(context: AlgorithmContext, probe: Probe, observation: Observation) -> Finding:
    finding = judge(context, probe.name, observation)
    return replace(finding, outcome=Outcome.FAIL, message=observation.message, remedy=observation.remedy)


def _unexplained(context: AlgorithmContext, gap: Estimate) -> Finding:
    """A gap that no part explains."""
    tried = [describe(r.variant) for r in context.runs if r.variant not in (REFERENCE, Variant())]
    return Finding(
        check="swap",
        cause="unexplained-gap",
        side=Side.ALGORITHM,
        outcome=Outcome.FAIL,
        message="The algorithm stays under the known-good recipe, and no single replaced part wins it back"
        + (f" (tried: {', '.join(dict.fromkeys(tried))})." if tried else "."),
        remedy="Start from the known-good recipe (zoo finetune), put in your parts one by one.",
        points=gap,
    )


def _importance(finding: Finding, *, seen: bool) -> tuple[int, int, float]:
    """Causes before remarks; those seen directly before those inferred; then by points."""
    points = finding.points.value if finding.points is not None else 0.0
    # A fault that was seen directly explains a crash, not the other way round.
    return _OUTCOMES.index(finding.outcome), 2 if not seen else int(finding.cause == "crash"), -points
