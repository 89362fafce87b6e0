"""Numbers too small for their format, and gradients cut too short."""

from __future__ import annotations

from dataclasses import dataclass

from diagnose.algorithm_context import AlgorithmContext
from diagnose.check import ALGORITHM_CHECKS
from diagnose.findings import Evidence
from diagnose.probe import Certainty, Observation, Probe
from diagnose.sandbox.measurements import StepFacts, Variant


@ALGORITHM_CHECKS.register("precision")
@dataclass(frozen=True, kw_only=True)
class Precision(Probe):
    """Does the gradient arrive whole?

    What it does: Compares the share of exact zeros in the gradient with that in float32, and the gradient's length
    at the update with that after backward; trains in float32, and without clipping.

    Why it is bad: float16 turns gradients under 6e-8 into zero; clipping to a tiny norm makes the learning rate tiny.

    Known problems: Adam does not mind the gradient's scale, so small clipping costs it nothing: a remark then.
    Steps that a gradient scaler skips are legitimate.

    Remedy: bfloat16, or float16 with ``torch.amp.GradScaler``; clip at a norm of 1 or more, after unscaling.

    References: Micikevicius et al., Mixed Precision Training (arXiv:1710.03740); Pascanu et al. (arXiv:1211.5063).

    Attributes:
        most_zeros: Largest share of gradient elements that only the person's precision makes zero.
        most_clipped: Largest share of updates whose gradient was cut to under half.
        least_kept: Smallest share of its length that clipping leaves the first gradients.
    """

    name = "precision"
    causes = ("mixed-precision", "gradient-clipping")
    most_zeros: float = 0.05
    most_clipped: float = 0.95
    least_kept: float = 0.05

    def observe(self, context: AlgorithmContext) -> list[Observation]:
        """Both causes, from the step audit and the training."""
        step = context.step
        return [] if step is None else [self._zeros(context, step), self._clipping(context, step)]

    def _zeros(self, context: AlgorithmContext, step: StepFacts) -> Observation:
        half = step.half or (context.model is not None and context.model.dtype == "float16")
        lost = step.rescued or (step.zeros > self.most_zeros and step.empty == 0)
        share = 1.0 if step.rescued else max(step.zeros, 0)
        seen = half and (lost or not step.finite)
        return Observation(
            cause="mixed-precision",
            certainty=Certainty.SURE if seen else Certainty.HINT if half else Certainty.NONE,
            message=f"float16 turns {share:.0%} of the gradient into zeros"
            + ("." if step.finite else " and some of it into infinities."),
            remedy="Use bfloat16, or scale the loss with torch.amp.GradScaler.",
            evidence=(Evidence(statistic="zeros that float32 has not", value=step.zeros, reference=self.most_zeros),),
            changes=(Variant(precise=True), Variant(reference=("train_step",))) if half else (),
        )

    def _clipping(self, context: AlgorithmContext, step: StepFacts) -> Observation:
        runs = context.runs_of(context.base)
        share = runs[0].clipped if runs else 0.0
        short = step.kept < self.least_kept
        seen = share > self.most_clipped or short
        return Observation(
            cause="gradient-clipping",
            certainty=Certainty.SURE
            if short and share > self.most_clipped
            else Certainty.HINT
            if seen
            else Certainty.NONE,
            message=f"Clipping leaves {step.kept:.2g} of the gradient; {share:.0%} of the updates lose over half.",
            remedy="Clip at a norm of 1 or more, or not at all.",
            evidence=(
                Evidence(statistic="updates cut to under half", value=share, reference=self.most_clipped),
                Evidence(statistic="length kept", value=step.kept, reference=self.least_kept),
            ),
            changes=(Variant(clip=False),) if seen else (),
        )
