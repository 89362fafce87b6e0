"""Component swap: which replaced part wins accuracy back. The arbiter of every probe.

From the person's algorithm one part at a time is replaced by the known-good recipe's, or changed (learning rate x 10,
augmentation off); what wins at least max(3 sigma over seeds, 2 points) is a cause. Faults seen directly are all mended
together first, and then put back one at a time: two faults can hide each other's cost. After a cause is removed the
rest is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from diagnose.algorithm_context import REFERENCE, AlgorithmContext, combine, significant
from diagnose.blame import WHOLE_NETWORK, blamed, far_from_pretrained
from diagnose.check import ALGORITHM_CHECKS
from diagnose.findings import CheckFailure, Evidence, Finding, Kind, Outcome
from diagnose.probe import Certainty, Observation, Probe, describe, judge
from diagnose.sandbox.measurements import Mishap, RunFacts, Variant

#: What is tried where nothing was seen: the most frequent causes first, the dearest last.
GENERIC = (
    "learning-rate",
    "augmentation",
    "normalisation",
    "optimizer",
    "schedule",
    "regularisation",
    "wrong-loss",
    "loader-order",
    "too-few-epochs",
    "frozen-parameters",
    "gradient-flow",
    "overfitting",
    "capacity",
)
_ROUNDS = 3
#: Causes that change the score they see, not the model.
_SCORING = frozenset({"evaluation", "eval-mode"})
Train = Callable[[Variant, int], RunFacts | Mishap | None]


class Swaps:
    """Chooses the trainings that tell most, and keeps what they showed.

    Args:
        context: What is known so far.
        train: Trains a variant with a seed; ``None`` where the budget does not allow it.
        enlarge: Lets further trainings learn from more pictures; false where the budget does not allow it.
    """

    def __init__(self, context: AlgorithmContext, train: Train, enlarge: Callable[[], bool] = lambda: False) -> None:
        self.context = context
        self._train, self._enlarge = train, enlarge
        self.probes: tuple[Probe, ...] = tuple(
            probe for kind in ALGORITHM_CHECKS.values() if isinstance(probe := kind(), Probe)
        )
        self.settled: dict[str, Finding] = {}
        self.failures: list[CheckFailure] = []
        self._sure: set[str] = set()

    def measure(self, variant: Variant, seed: int = 0) -> bool:
        """Make sure that a training is among the context's runs; false where it cannot be."""
        if any(r.variant == variant and r.seed == seed and r.data == "theirs" for r in self.context.runs):
            return True
        result = self._train(variant, seed)
        if isinstance(result, RunFacts):
            self.context = replace(self.context, runs=(*self.context.runs, result))
            return True
        if isinstance(result, Mishap) and variant == Variant():
            self.context = replace(self.context, mishaps=(*self.context.mishaps, result))
        return False

    def observations(self) -> list[tuple[Probe, Observation]]:
        """What every probe sees now: surest first, the audits before a training's curve, then as in :data:`GENERIC`."""
        seen = [(probe, o) for probe in self.probes for o in self._observe(probe, self.context)]
        suspected = self._suspected()
        return sorted(seen, key=lambda p: (-p[1].certainty, p[1].cause not in suspected, _rank(p[1].cause)))

    def _suspected(self) -> set[str]:
        """Causes that the audits alone hint at."""
        audits = replace(self.context, runs=())
        seen = [o for probe in self.probes for o in self._observe(probe, audits)]
        return {o.cause for o in seen if o.certainty is Certainty.HINT}

    def sure_changes(self) -> dict[str, Variant]:
        """What would take each fault away that was seen for sure, by cause."""
        return {o.cause: o.changes[0] for _, o in self.observations() if o.certainty is Certainty.SURE and o.changes}

    def _observe(self, probe: Probe, context: AlgorithmContext) -> list[Observation]:
        try:
            return probe.observe(context)
        except (ArithmeticError, ValueError, IndexError, KeyError) as error:
            # A number that no probe was written for must not take the others' findings away.
            failure = CheckFailure(check=probe.name, error=f"{type(error).__name__}: {error}")
            if failure not in self.failures:
                self.failures.append(failure)
            return []

    def run(self) -> list[Finding]:
        """Everything: baselines, sure faults, hints, the generic swaps. Findings, most likely cause first."""
        self._baselines()
        if self._borderline():
            self.measure(REFERENCE, seed=1)
            self.measure(Variant(), seed=1)
        if self.context.theirs is not None and not self.context.theirs.finished:
            return self._findings()  # nothing can be compared with it
        # What is inferred from a training with a fault in it, of which nobody knows what it costs, is that fault's.
        known = self._mend_sure()
        explained = self._settle_measured()
        for _ in range(_ROUNDS):
            if explained or not known or not self.context.under or not self._next_cause():
                break
        if known and not self.context.under and not self.settled:
            self._try_suspected()
        return self._findings()

    def _findings(self) -> list[Finding]:
        return blamed(self.context, self.observations(), self.settled, self._sure)

    def _baselines(self) -> None:
        """Theirs and the known-good recipe; on more pictures where what was left out may be all that is missing."""
        for _ in range(2):
            self.measure(REFERENCE)
            self.measure(Variant())
            if not self.context.hungry or not self._enlarge():
                return
            few = (replace(r, data="fewer") if r.data == "theirs" else r for r in self.context.runs)
            self.context = replace(self.context, runs=tuple(few))

    def _borderline(self) -> bool:
        """Whether a second seed may change the answer."""
        gap = self.context.gap()
        return gap is not None and 0.5 * self.context.threshold < gap.value < 3 * self.context.threshold

    def _mend_sure(self) -> bool:
        """Mend all faults that were seen for sure at once, then put each back alone: that is its cost.

        False where mending them could not be measured, or took another network that does no better: what is inferred on
        top of that one is not theirs.
        """
        sure = [(p, o) for p, o in self.observations() if o.certainty is Certainty.SURE and o.changes]
        sure = [(p, o) for p, o in sure if o.points is None]
        mends = [o.changes[0] for _, o in sure]
        if not self._wins(_united(mends)) and any(len(o.changes) > 1 for _, o in sure):
            mends = [_united(list(o.changes)) for _, o in sure]
        mended = _united(mends)
        if not sure:
            return True
        if not self.measure(mended):
            return False
        self._price(sure, mends)
        gain = self.context.difference(Variant(), mended)
        if gain is None or ("model" in mended.reference and not significant(gain, self.context.threshold)):
            return False
        if gain.value > -self.context.threshold:
            self.context = replace(self.context, base=mended)
        return True

    def _price(self, sure: list[tuple[Probe, Observation]], mends: list[Variant]) -> None:
        """Keep what mending each of the sure faults wins beside the others' mending."""
        mended = _united(mends)
        for (probe, seen), mend in zip(sure, mends, strict=True):
            others = _united([other for other in mends if other != mend])
            if self.measure(others):
                self._settle_cost(probe, seen, mend, (others, mended))
        unexplained = not any(f.outcome is Outcome.FAIL for f in self.settled.values())
        if unexplained and ("model" in mended.reference or self._wins(mended)):
            # Each mends what the others mend too, or another network hides it: what one wins alone tells them apart.
            for (probe, seen), mend in zip(sure, mends, strict=True):
                if self.measure(mend):
                    self._settle_cost(probe, seen, mend, (Variant(), mend))

    def _wins(self, change: Variant) -> bool:
        """Whether a change of the algorithm as it stands wins accuracy."""
        if change == Variant() or not self.measure(change):
            return False
        gain = self.context.difference(Variant(), change)
        return gain is None or significant(gain, self.context.threshold)

    def _settle_cost(self, probe: Probe, seen: Observation, mend: Variant, pair: tuple[Variant, Variant]) -> None:
        """Keep what mending one sure fault wins: the difference of two variants."""
        cost = self.context.difference(*pair)
        if cost is None:
            self._settle(probe, seen)
            return
        words = Evidence(
            statistic=f"accuracy won: {describe(mend)}",
            value=cost.value,
            interval=cost.interval,
            reference=self.context.threshold,
            kind=Kind.INTERVENTION,
        )
        self._settle(probe, replace(seen, points=cost, evidence=(*seen.evidence, words)))

    def _settle_measured(self) -> bool:
        """Keep the causes whose cost the trainings show by themselves; true where they explain the whole gap."""
        gap = self.context.gap()
        rest = gap.value if gap is not None else 0.0
        for probe, seen in self.observations():
            if seen.points is None or judge(self.context, probe.name, seen).outcome is not Outcome.FAIL:
                continue
            self._settle(probe, seen)
            if seen.cause not in _SCORING:
                rest -= seen.points.value
        return gap is not None and rest < self.context.threshold

    def _try_suspected(self) -> None:
        """What the audits hint at may cost although theirs is level with the known-good recipe."""
        suspected = self._suspected()
        seen = [(p, o) for p, o in self.observations() if o.cause in suspected and o.changes and o.points is None]
        best = self._try(seen, until_closed=False)
        if best is not None:
            self._mend(*best)

    def _mend(self, probe: Probe, observation: Observation, change: Variant) -> None:
        """Keep a cause, and go on from where it is mended."""
        self._settle(probe, observation)
        self.context = replace(self.context, base=combine(self.context.base, change))

    def _next_cause(self) -> bool:
        """Try hints, then generic swaps, until one is a cause; mend the best. False where none is."""
        seen = [(p, o) for p, o in self.observations() if o.changes and o.points is None]
        hints = [pair for pair in seen if pair[1].certainty is not Certainty.NONE]
        generic = [pair for pair in seen if pair[1].certainty is Certainty.NONE]
        best = self._try(hints, until_closed=False)
        if best is None and far_from_pretrained(self.context):
            # A training of theirs is cheap beside one of the known-good network, and tells as much of both.
            if self.context.hungry or not self._bare_wins():
                return False
            generic = [pair for pair in generic if pair[1].cause not in WHOLE_NETWORK]
        best = best or self._try(generic, until_closed=True)
        if best is None:
            return False
        self._mend(*best)
        return True

    def _bare_wins(self) -> bool:
        """Whether their network alone would do better by all other parts together; true where that is not known."""
        if not self.measure(self.context.bare):
            return True
        gain = self.context.difference(self.context.base, self.context.bare)
        return gain is None or significant(gain, self.context.threshold)

    def _try(
        self, group: list[tuple[Probe, Observation]], *, until_closed: bool
    ) -> tuple[Probe, Observation, Variant] | None:
        """Measure the group's changes; the one that wins most, if it is a cause.

        Where ``until_closed`` the search ends with the first change that brings the algorithm level with the recipe.
        """
        best: tuple[Probe, Observation, Variant] | None = None
        highest = 0.0
        for probe, observation in group:
            for change in observation.changes:
                if not self.measure(self.context.combined(change)):
                    continue
                gain = self.context.gain(change)
                if gain is None or not significant(gain, self.context.threshold):
                    continue
                if best is not None and gain.value <= highest + self._lead(change, best[2]):
                    continue
                best, highest = (probe, observation, change), gain.value
                if self._closes(change):
                    if until_closed:
                        return best
                    break  # the observation's other changes cannot win much more
        return best

    def _lead(self, change: Variant, best: Variant) -> float:
        """How much more a change must win than the best so far.

        Where one does all that the other does, and more, the narrower is the cause unless the wider clearly wins more.
        """
        wider, narrower = combine(change, best) == change, combine(best, change) == best
        return self.context.threshold * (wider - narrower)

    def _closes(self, change: Variant) -> bool:
        rest = self.context.difference(self.context.combined(change), REFERENCE)
        return rest is not None and not significant(rest, self.context.threshold)

    def _settle(self, probe: Probe, observation: Observation) -> None:
        """Keep the finding as it is judged now, before the cause is mended."""
        current = next((o for o in self._observe(probe, self.context) if o.cause == observation.cause), observation)
        if observation.points is not None:
            current = observation
        finding = judge(self.context, probe.name, current)
        before = self.settled.get(observation.cause)
        if before is None or before.outcome is not Outcome.FAIL:
            self.settled[observation.cause] = finding
        if current.certainty is Certainty.SURE:
            self._sure.add(observation.cause)


def _united(changes: list[Variant]) -> Variant:
    united = Variant()
    for change in changes:
        united = combine(united, change)
    return united


def _rank(cause: str) -> int:
    return GENERIC.index(cause) if cause in GENERIC else -1
