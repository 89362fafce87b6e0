"""What the model returns: too few or too many scores, and examples that mix."""

from __future__ import annotations

from dataclasses import dataclass

from diagnose.algorithm_context import AlgorithmContext
from diagnose.check import ALGORITHM_CHECKS
from diagnose.findings import Evidence
from diagnose.probe import Certainty, Observation, Probe
from diagnose.sandbox.measurements import ModelFacts, Variant

MOST_MIXING = 0.02


@ALGORITHM_CHECKS.register("outputs")
@dataclass(frozen=True, kw_only=True)
class Outputs(Probe):
    """Has the output one score a class, and does a picture's answer depend on that picture only?

    What it does: Looks at the output's shape, and exchanges half of a batch in evaluation mode: the other half's
    answers must not change.

    Why it is bad: With too few scores the loss fails or some classes can never be predicted. A softmax over the
    batch, or a reshape that moves pictures into one another's rows, makes answers depend on the company they keep.

    Known problems: Batch-norm that keeps no running statistics also mixes; that is reported as ``batchnorm-
    statistics``.

    Remedy: ``nn.Linear(features, num_classes)``; ``softmax(dim=1)``; ``flatten(1)``.

    References: Karpathy, A Recipe for Training Neural Networks (2019), "use backprop to chart dependencies".

    Attributes:
        most_mixing: Largest change of an answer, relative to the outputs' spread, that rounding may explain.
    """

    name = "outputs"
    causes = ("output-size", "mixed-examples")
    most_mixing: float = MOST_MIXING

    def observe(self, context: AlgorithmContext) -> list[Observation]:
        """Both causes, from the model audit."""
        model = context.model
        return [] if model is None else [self._size(context, model), self._mixing(model)]

    def _size(self, context: AlgorithmContext, model: ModelFacts) -> Observation:
        wrong = len(model.shape) != 2 or model.shape[-1] != context.num_classes
        return Observation(
            cause="output-size",
            certainty=Certainty.SURE if wrong else Certainty.NONE,
            message=f"The model returns {model.shape} for a batch; (n, {context.num_classes}) was expected.",
            remedy="Replace the last layer by one with num_classes outputs.",
            evidence=(
                Evidence(
                    statistic="scores a picture",
                    value=float(model.shape[-1] if model.shape else 0),
                    reference=float(context.num_classes),
                ),
            ),
            changes=(Variant(reference=("model",)),) if wrong else (),
        )

    def _mixing(self, model: ModelFacts) -> Observation:
        mixing = mixes(model, self.most_mixing)
        return Observation(
            cause="mixed-examples",
            certainty=Certainty.SURE if mixing else Certainty.NONE,
            message=f"A picture's answer changes by {model.mixing:.2g} spreads when the rest of its batch does.",
            remedy="Keep dimension 0 for pictures: softmax(dim=1), flatten(1), no mean over the batch.",
            evidence=(Evidence(statistic="change by neighbours", value=model.mixing, reference=self.most_mixing),),
            changes=(Variant(reference=("model",)),) if mixing else (),
        )


def mixes(model: ModelFacts, most: float = MOST_MIXING) -> bool:
    """Whether a picture's answer depends on the others of its batch, and neither on chance nor on batch-norm."""
    return model.mixing > most and model.untracked == 0 and model.repeat < most
