"""The network against the data: too small, or learning the training pictures by heart."""

from __future__ import annotations

from dataclasses import dataclass, replace

from diagnose.algorithm_context import AlgorithmContext
from diagnose.check import ALGORITHM_CHECKS
from diagnose.findings import Evidence, Kind
from diagnose.probe import Certainty, Observation, Probe
from diagnose.probes.frozen import is_pretrained
from diagnose.sandbox.measurements import RunFacts, Variant


@ALGORITHM_CHECKS.register("fit")
@dataclass(frozen=True, kw_only=True)
class Fit(Probe):
    """Does the network fit the training pictures, and what it learned the others?

    What it does: Compares training and validation accuracy, sees whether one batch can be learnt by heart, and
    trains the known-good model in the place of theirs.

    Why it is bad: A network that cannot even fit its training pictures is too small (or something hinders it); one that
    fits them and fails on others has too much freedom for so few pictures, or no pretrained features.

    Known problems: Everything else that goes wrong also shows as a bad fit: these causes count only where replacing the
    model wins accuracy, or where theirs stays under though all else is replaced, and are named after those that are seen
    directly.

    Remedy: A pretrained backbone (``zoo finetune``); for capacity wider layers; for overfitting augmentation,
    weight decay.

    References: Goodfellow et al., Deep Learning (2016), section 5.2; Kornblith et al., Do Better ImageNet Models
    Transfer Better? (arXiv:1805.08974).

    Attributes:
        fitted: Training accuracy from which on a network fits its training pictures.
        most_gap: Training less validation accuracy from which on it is overfitting.
        least_side: Side of the pictures, in pixels, under which the known-good model is given its own.
    """

    name = "fit"
    causes = ("overfitting", "capacity")
    fitted: float = 0.95
    most_gap: float = 0.05
    least_side: int = 96

    def observe(self, context: AlgorithmContext) -> list[Observation]:
        """Both causes, from the training."""
        runs = context.runs_of(context.base)
        if not runs:
            return []
        run = runs[0]
        cost = context.network_cost()
        overfits = run.train_accuracy >= self.fitted and run.train_accuracy - run.accuracy > self.most_gap
        small = run.train_accuracy < self.fitted
        found = [self._overfitting(context, run, seen=overfits), self._capacity(context, run, seen=small)]
        if cost is None:
            return found
        words = Evidence(
            statistic="accuracy won: the known-good network, all else known-good",
            value=cost.value,
            interval=cost.interval,
            reference=context.threshold,
            kind=Kind.INTERVENTION,
        )
        return [replace(o, points=cost, evidence=(*o.evidence, words), changes=()) if o.changes else o for o in found]

    def _network(self, context: AlgorithmContext) -> Variant:
        """Theirs replaced; where it looks at small pictures, in which a pretrained one sees little, with its transform."""
        shape = context.transform.eval_shape if context.transform is not None else ()
        small = bool(shape) and min(shape[-2:]) < self.least_side
        return Variant(reference=("model", "transform") if small else ("model",))

    def _overfitting(self, context: AlgorithmContext, run: RunFacts, *, seen: bool) -> Observation:
        gap = run.train_accuracy - run.accuracy
        return Observation(
            cause="overfitting",
            certainty=Certainty.NONE,
            message=f"{run.train_accuracy:.1%} on training pictures, {run.accuracy:.1%} on others; known-good "
            "does better on the same pictures.",
            remedy="Start from pretrained weights (zoo finetune), freeze most of them, or augment and stop earlier.",
            evidence=(Evidence(statistic="training less validation", value=gap, reference=self.most_gap),),
            changes=(self._network(context),) if seen else (),
        )

    def _capacity(self, context: AlgorithmContext, run: RunFacts, *, seen: bool) -> Observation:
        parameters = context.model.parameters if context.model is not None else 0
        why = f"{parameters:,} weights are too few here"
        if context.model is not None and not is_pretrained(context.model):
            why += f", or {run.images} pictures and {len(run.curve)} epochs for random ones to become features"
        return Observation(
            cause="capacity",
            certainty=Certainty.NONE,
            message=f"{run.train_accuracy:.1%} even on training pictures: {why}.",
            remedy="A pretrained network (zoo finetune; zoo list shows some), or a wider one and more epochs.",
            evidence=(Evidence(statistic="training accuracy", value=run.train_accuracy, reference=self.fitted),),
            changes=(self._network(context),) if seen else (),
        )
