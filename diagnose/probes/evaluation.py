"""A score that is not the accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass

from diagnose.algorithm_context import AlgorithmContext
from diagnose.check import ALGORITHM_CHECKS
from diagnose.findings import Estimate, Evidence, Kind
from diagnose.probe import Certainty, Observation, Probe
from diagnose.probes.outputs import mixes


@ALGORITHM_CHECKS.register("evaluation")
@dataclass(frozen=True, kw_only=True)
class Evaluation(Probe):
    """Is the accuracy that they compute the accuracy?

    What it does: Scores the very same weights on the very same pictures, and compares.

    Why it is bad: A mean of batch means, a forgotten last batch, an argmax over the wrong dimension or a division
    by the wrong count report a figure that the model does not have; work is then spent on the wrong half.

    Known problems: Scoring in training mode also gives another figure; that is ``eval-mode`` and is not counted
    again, nor is that of a model whose answers depend on a batch's other pictures (``mixed-examples``): other batches
    give another figure. A score in per cent is understood.

    Remedy: Count right answers and pictures over all batches, and divide once.

    References: Musgrave et al., A Metric Learning Reality Check (arXiv:2003.08505).

    Attributes:
        most_difference: Largest difference that rounding may explain; from ``context.threshold`` on it is a cause.
    """

    name = "evaluation"
    causes = ("evaluation",)
    most_difference: float = 0.005

    def observe(self, context: AlgorithmContext) -> list[Observation]:
        """One observation, from the training."""
        run = context.theirs
        if run is None or run.score is None:
            return []
        score = run.score / 100 if 1.5 < run.score <= 100 and run.accuracy > 0.015 else run.score
        difference = abs(score - run.accuracy) if math.isfinite(score) else 1.0
        elsewhere = run.evaluation_mode > 0.5 or (context.model is not None and mixes(context.model))
        seen = difference > self.most_difference and not elsewhere
        points = Estimate(value=difference, interval=(difference, difference)) if seen else None
        return [
            Observation(
                cause="evaluation",
                certainty=Certainty.SURE if seen else Certainty.NONE,
                message=f"evaluate returned {run.score:.4g}; the same weights are right on {run.accuracy:.4g}.",
                remedy="Sum right answers and pictures over all batches in evaluate, and divide once.",
                evidence=(
                    Evidence(
                        statistic="their score less ours",
                        value=score - run.accuracy,
                        reference=self.most_difference,
                        sample_size=run.validation,
                        kind=Kind.INTERVENTION,
                    ),
                ),
                points=points,
            )
        ]
