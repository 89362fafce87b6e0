"""Dropout, weight decay or label smoothing that are too strong."""

from __future__ import annotations

from dataclasses import dataclass

from diagnose.algorithm_context import AlgorithmContext
from diagnose.check import ALGORITHM_CHECKS
from diagnose.findings import Evidence
from diagnose.probe import Certainty, Observation, Probe
from diagnose.sandbox.measurements import Variant


@ALGORITHM_CHECKS.register("regularisation")
@dataclass(frozen=True, kw_only=True)
class Regularisation(Probe):
    """Is the network held back more than it needs?

    What it does: Reads the largest dropout and weight decay and the least loss that label smoothing leaves, and trains
    without dropout and weight decay.

    Why it is bad: Weights that are pulled to zero, or units that are mostly off, cannot fit the training pictures.

    Known problems: Decoupled decay (AdamW) acts times the learning rate, coupled decay as a part of the gradient: the
    limits differ.

    Remedy: Dropout 0.2, weight decay 1e-4 (coupled) or 1e-2 (AdamW), smoothing 0.1.

    References: Srivastava et al., Dropout (JMLR 2014); Loshchilov and Hutter (arXiv:1711.05101).

    Attributes:
        most_dropout: Largest rate that is not suspicious.
        most_decay: Largest coupled weight decay; ``most_decoupled`` the largest of AdamW.
        most_floor: Largest least loss, in nats, that mild smoothing leaves.
    """

    name = "regularisation"
    causes = ("regularisation",)
    most_dropout: float = 0.6
    most_decay: float = 0.01
    most_decoupled: float = 0.3
    most_floor: float = 0.9

    def observe(self, context: AlgorithmContext) -> list[Observation]:
        """One observation, from the model and loss audits."""
        model = context.model
        if model is None:
            return []
        limit = self.most_decoupled if model.optimizer == "AdamW" else self.most_decay
        strong = model.dropout > self.most_dropout or model.weight_decay > limit
        absurd = model.dropout > 0.9 or model.weight_decay > 10 * limit
        floor = context.loss.right if context.loss is not None else 0.0
        slope = context.loss.slope if context.loss is not None else 0.0
        smoothed = floor > self.most_floor and slope > 0.5
        used = model.dropout > 0 or model.weight_decay > 0
        changes = (
            *((Variant(regularise=False),) if used else ()),
            *((Variant(reference=("loss",)),) if smoothed else ()),
        )
        return [
            Observation(
                cause="regularisation",
                certainty=Certainty.SURE if absurd else Certainty.HINT if strong or smoothed else Certainty.NONE,
                message=f"Dropout {model.dropout:g}, weight decay {model.weight_decay:g} ({model.optimizer})"
                + (f", label smoothing that leaves a loss of {floor:.2f}." if smoothed else "."),
                remedy="Lower them: dropout 0.2, weight decay 1e-4 (1e-2 for AdamW), label smoothing 0.1.",
                evidence=(
                    Evidence(statistic="dropout", value=model.dropout, reference=self.most_dropout),
                    Evidence(statistic="weight decay", value=model.weight_decay, reference=limit),
                    Evidence(statistic="least loss", value=floor, unit="nats", reference=self.most_floor),
                ),
                changes=changes,
            )
        ]
