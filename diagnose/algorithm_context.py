"""What is known of a person's algorithm so far: measurements, and what follows from them by arithmetic."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from diagnose.findings import Estimate
from diagnose.sandbox.measurements import (
    Loaded,
    LoaderFacts,
    LossFacts,
    Mishap,
    ModelFacts,
    OverfitFacts,
    RunFacts,
    ScheduleFacts,
    StepFacts,
    TransformFacts,
    Variant,
)
from diagnose.sandbox.part_names import PARTS

#: Every part from the known-good recipe: the recipe itself.
REFERENCE = Variant(reference=tuple(PARTS))
#: Every part but the network, and no dropout or weight decay in that: what else than their network holds them back.
BARE = Variant(reference=tuple(part for part in PARTS if part != "model"), regularise=False)
#: Standard deviation over seeds that is assumed where a training was not repeated: one point.
ASSUMED_SPREAD = 0.01
#: Two points: nothing smaller counts as a cause.
LEAST_GAIN = 0.02


@dataclass(frozen=True, kw_only=True)
class AlgorithmContext:
    """Measurements so far; ``None`` and absent runs are what has not been measured, or could not be.

    Attributes:
        num_classes: Classes of the person's data.
        runs: Trainings, in the order they were made.
        mishaps: What stopped experiments.
        base: What has been mended so far; gains count from there.
        available: Training pictures that there are, where some were left out to save time.
        hunger: Accuracy that the known-good recipe wins on the same validation pictures by those that were left out;
            ``None`` where none were.
    """

    num_classes: int
    loaded: Loaded | None = None
    model: ModelFacts | None = None
    loss: LossFacts | None = None
    step: StepFacts | None = None
    transform: TransformFacts | None = None
    loader: LoaderFacts | None = None
    schedule: ScheduleFacts | None = None
    overfit: OverfitFacts | None = None
    runs: tuple[RunFacts, ...] = ()
    mishaps: tuple[Mishap, ...] = ()
    base: Variant = dataclasses.field(default_factory=Variant)
    available: int | None = None
    hunger: Estimate | None = None

    @property
    def hungry(self) -> bool:
        """Whether the algorithm may stay under for want of the training pictures that were left out.

        Either they are worth as much to the known-good recipe, or theirs may come as far by them.
        """
        gap, hunger = self.gap(), self.hunger
        if not self.under or gap is None or hunger is None:
            return False
        return gap.value <= hunger.value or self.closing

    @property
    def closing(self) -> bool:
        """Whether theirs, going on as from fewer pictures to those at hand, would be level with the known-good with all.

        Fewer pictures are fewer steps as well, which a network that is trained whole lacks more than a probe does. Accuracy over
        the logarithm of their number flattens, so that a straight line says at most how far theirs comes. False where no fewer
        were tried or none were left out.
        """
        theirs, gap, hunger = self.theirs, self.gap(), self.hunger
        fewer = min(self.runs_of(Variant(), "fewer"), key=lambda run: run.images, default=None)
        if theirs is None or gap is None or hunger is None or fewer is None or self.available is None:
            return False
        slope = (theirs.accuracy - fewer.accuracy) / math.log(theirs.images / fewer.images)
        return gap.value + hunger.value - slope * math.log(self.available / theirs.images) < self.threshold

    def runs_of(self, variant: Variant, data: str = "theirs") -> tuple[RunFacts, ...]:
        """The trainings of one variant that came to predictions, by seed."""
        found = [r for r in self.runs if r.variant == variant and r.data == data and r.predictions]
        return tuple(sorted(found, key=lambda r: r.seed))

    def complete(self, variant: Variant) -> bool:
        """Whether a variant was trained to its end."""
        runs = self.runs_of(variant)
        return bool(runs) and all(run.finished for run in runs)

    @property
    def theirs(self) -> RunFacts | None:
        """Their algorithm as it stands on their data, first seed."""
        return _first(self.runs_of(Variant()))

    @property
    def known_good(self) -> RunFacts | None:
        """The known-good recipe on their data, first seed."""
        return _first(self.runs_of(REFERENCE))

    @property
    def spread(self) -> float:
        """Standard deviation of the accuracy over seeds, pooled over what was repeated; a fraction."""
        groups: dict[tuple[Variant, str, int], list[float]] = {}
        for run in self.runs:
            groups.setdefault((run.variant, run.data, run.images), []).append(run.accuracy)
        repeated = [np.var(g, ddof=1) for g in groups.values() if len(g) > 1]
        if not repeated:
            return ASSUMED_SPREAD
        # One degree of freedom says little: the assumption counts as one more.
        return float(math.sqrt((np.sum(repeated) + ASSUMED_SPREAD**2) / (len(repeated) + 1)))

    @property
    def threshold(self) -> float:
        """What a change must win to be called a cause: the larger of 3 sigma over seeds and 2 points."""
        return max(3 * self.spread, LEAST_GAIN)

    def combined(self, variant: Variant) -> Variant:
        """A change on top of what has been mended so far."""
        return combine(self.base, variant)

    def gain(self, variant: Variant) -> Estimate | None:
        """Accuracy that a change wins on the same validation pictures; ``None`` where it was not tried."""
        return self.difference(self.base, self.combined(variant))

    def gap(self) -> Estimate | None:
        """How far the algorithm (as mended so far) stays under the known-good recipe."""
        return self.difference(self.base, REFERENCE)

    @property
    def bare(self) -> Variant:
        """Their network, as far as it is mended, and nothing else of theirs."""
        return dataclasses.replace(combine(self.base, BARE), learning_rate=1.0, epochs=1.0)

    def network_cost(self) -> Estimate | None:
        """What the known-good recipe wins over their network at its best under it; ``None`` where that was not tried."""
        tried = {run.variant for run in self.runs if run.data == "theirs" and "model" not in run.variant.reference}
        if self.bare not in tried:
            return None
        costs = [cost for variant in tried if (cost := self.difference(variant, REFERENCE)) is not None]
        return min(costs, key=lambda cost: cost.value, default=None)

    @property
    def shown(self) -> Variant:
        """What shows how much these pictures allow: the known-good recipe, or theirs as mended where that beats it."""
        lead = None if self.base == Variant() else self.difference(REFERENCE, self.base)
        return self.base if lead is not None and significant(lead, self.threshold) else REFERENCE

    @property
    def under(self) -> bool:
        """Whether the algorithm is significantly and noticeably under the known-good recipe, or never finished."""
        gap = self.gap()
        if gap is None:
            return not self.complete(Variant())
        return significant(gap, self.threshold)

    def difference(self, before: Variant, after: Variant) -> Estimate | None:
        """Accuracy of one variant less that of another, paired over pictures and seeds.

        The interval is 1.96 standard errors: that of the discordant pairs (McNemar 1947) and that of the seeds. What a
        training that was cut short reached is less than the variant's accuracy: ``None`` where the second was and does
        not surely win all the same, or the first was and the second surely wins.
        """
        change = self.compare(self.runs_of(before), self.runs_of(after))
        wins, loses = (change.interval[0] > 0, change.interval[0] <= 0) if change is not None else (False, False)
        known = (self.complete(before) or loses) and (self.complete(after) or wins)
        return change if known else None

    def lift(self, run: RunFacts, predictions: tuple[int, ...]) -> Estimate:
        """Accuracy that other predictions of one trained model win on the same pictures.

        What changes sides by chance counts: a model that knows nothing is right on others after every change.
        """
        pair = _pair(run, dataclasses.replace(run, predictions=predictions))
        error = math.sqrt(pair.var() / len(pair) + self.spread**2)
        value = float(pair.mean())
        return Estimate(value=value, interval=(value - 1.96 * error, value + 1.96 * error))

    def compare(self, before: tuple[RunFacts, ...], after: tuple[RunFacts, ...]) -> Estimate | None:
        """The same of any two groups of trainings on the same pictures; ``None`` where no seed is in both."""
        first, second = ({run.seed: run for run in runs} for runs in (before, after))
        seeds = sorted(first.keys() & second.keys())
        if not seeds:
            return None
        pairs = [_pair(first[s], second[s]) for s in seeds]
        value = float(np.mean([p.mean() for p in pairs]))
        pictures = np.mean([p.var() / len(p) for p in pairs])  # the same pictures in every seed: not divided further
        error = math.sqrt(pictures + 2 * self.spread**2 / len(seeds))
        return Estimate(value=value, interval=(value - 1.96 * error, value + 1.96 * error))


def significant(change: Estimate, threshold: float) -> bool:
    """Whether a change is at least ``threshold`` and its interval lies above 0."""
    return change.value >= threshold and change.interval[0] > 0


def combine(base: Variant, change: Variant) -> Variant:
    """Both changes at once: parts united, factors multiplied, whatever either switched stays switched.

    What either does to the weights of their network is void where the network is replaced, and what it does to their
    training transform where the transform is.
    """
    if set(change.reference) >= set(PARTS) or set(base.reference) >= set(PARTS):
        return REFERENCE
    order = list(PARTS)
    reference = {*base.reference, *change.reference}
    own = "model" not in reference
    return Variant(
        reference=tuple(sorted(reference, key=order.index)),
        learning_rate=base.learning_rate * change.learning_rate,
        epochs=base.epochs * change.epochs,
        augment="transform" in reference or (base.augment and change.augment),
        regularise=base.regularise and change.regularise,
        unfreeze=own and (base.unfreeze or change.unfreeze),
        clip=base.clip and change.clip,
        reset=own and (base.reset or change.reset),
        precise=base.precise or change.precise,
    )


def _pair(before: RunFacts, after: RunFacts) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """+1 where only the second is right, -1 where only the first is, ``(n,)``."""
    labels = np.asarray(before.labels)
    right = [(np.asarray(run.predictions) == labels).astype(np.float64) for run in (before, after)]
    return np.asarray(right[1] - right[0])


def _first(runs: tuple[RunFacts, ...]) -> RunFacts | None:
    return runs[0] if runs else None
