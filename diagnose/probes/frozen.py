"""Parameters that ought to train and do not."""

from __future__ import annotations

from dataclasses import dataclass

from diagnose.algorithm_context import AlgorithmContext
from diagnose.check import ALGORITHM_CHECKS
from diagnose.findings import Evidence
from diagnose.probe import Certainty, Observation, Probe
from diagnose.sandbox.measurements import ModelFacts, StepFacts, Variant


@ALGORITHM_CHECKS.register("frozen-parameters")
@dataclass(frozen=True, kw_only=True)
class FrozenParameters(Probe):
    """Are all the parameters that should learn in the optimizer, and do they move?

    What it does: Compares the model's parameters with the optimizer's, and sees which tensors an update moves. A
    head that does not train is a fault always; weights that were never trained and never will be are one too.

    Why it is bad: A frozen random layer throws away what the picture shows; a frozen random head caps the accuracy.

    Known problems: A pretrained backbone is often frozen on purpose; it is only a cause where training it wins
    accuracy on the person's data. Whether weights are pretrained is known from the ``load_state_dict`` calls while
    the model is built; layers that none of these filled are to move whatever the others do.

    Remedy: ``optimizer = SGD(model.parameters(), ...)`` after the model is complete; no ``requires_grad = False``
    on new layers.

    References: Humbatova et al., Taxonomy of Real Faults in Deep Learning Systems (ICSE 2020).

    Attributes:
        least_share: Smallest share of the parameters without pretrained weights that must train.
    """

    name = "frozen-parameters"
    causes = ("frozen-parameters",)
    least_share: float = 0.9

    def observe(self, context: AlgorithmContext) -> list[Observation]:
        """One observation, from the model and step audits."""
        model = context.model
        if model is None or model.parameters == 0:
            return []
        share = model.optimised / model.parameters
        step = context.step
        stuck = step is not None and self._stuck(step, step.reached)
        new_stuck = step is not None and self._stuck(step, step.new_reached)
        sure = not model.head_optimised or self._idle(model) or new_stuck
        certainty = Certainty.SURE if sure else Certainty.HINT if stuck else Certainty.NONE
        stuck = stuck or new_stuck
        evidence = [Evidence(statistic="share of weights that train", value=share, reference=self.least_share)]
        if context.step is not None:
            evidence.append(
                Evidence(
                    statistic="tensors that a gradient reaches", value=context.step.reached, reference=self.least_share
                )
            )
        frozen = share < 1 or stuck
        return [
            Observation(
                cause="frozen-parameters",
                certainty=certainty,
                message=_message(model, share, context.step.reached if context.step else 1.0),
                remedy="Hand every parameter that should learn to the optimizer, after the model is complete.",
                evidence=tuple(evidence),
                changes=(Variant(unfreeze=True), Variant(reference=("model",)))[: 2 if stuck else 1] if frozen else (),
            )
        ]

    def _idle(self, model: ModelFacts) -> bool:
        """Whether weights that no checkpoint filled do not train; a copy of a filled network looks as if none did."""
        copied = is_pretrained(model) and model.new == model.parameters
        return model.new_optimised < self.least_share * model.new and not copied

    def _stuck(self, step: StepFacts, reached: float) -> bool:
        """Whether a gradient reaches few tensors at updates that have one; without one weight decay alone moves them."""
        return step.updates > 0 and step.empty == 0 and 0 < reached < self.least_share


def _message(model: ModelFacts, share: float, reached: float) -> str:
    if not model.head_optimised:
        return f"The last layer ({model.head}) does not train: {share:.0%} of all weights are in the optimizer."
    if model.forgotten:
        return f"The optimizer lacks {', '.join(model.forgotten)}: only {share:.0%} of the weights train."
    if model.new_optimised < model.new < model.parameters:
        idle = 1 - model.new_optimised / model.new
        return f"{idle:.0%} of the weights that no checkpoint filled do not train: they stay as they were drawn."
    if share < 1:
        return f"Only {share:.0%} of the weights train."
    return f"Only {reached:.0%} of the tensors in the optimizer ever change: no gradient reaches the others."


def is_pretrained(model: ModelFacts) -> bool:
    """Whether most of the model's tensors were filled from a checkpoint while it was built."""
    return any(call.matched > call.missing for call in model.loads)
