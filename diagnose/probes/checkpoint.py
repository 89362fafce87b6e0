"""Pretrained weights that were never loaded."""

from __future__ import annotations

from dataclasses import dataclass

from diagnose.algorithm_context import AlgorithmContext
from diagnose.check import ALGORITHM_CHECKS
from diagnose.findings import Evidence
from diagnose.probe import Certainty, Observation, Probe
from diagnose.sandbox.measurements import Variant


@ALGORITHM_CHECKS.register("checkpoint-loading")
@dataclass(frozen=True, kw_only=True)
class CheckpointLoading(Probe):
    """Did the checkpoint fill the model?

    What it does: Watches ``load_state_dict`` while the model is built and counts the tensors that found their place.

    Why it is bad: ``strict=False`` ignores names that do not match ("module.", "backbone."): the weights stay
    random, and nothing says so.

    Known problems: A checkpoint for a part of a large model matches few of the whole's tensors: what counts is the
    share of the *checkpoint* that was used.

    Remedy: Strip the prefix from the names, and look at what ``load_state_dict`` returns.

    References: https://pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.load_state_dict

    Attributes:
        least_used: Smallest share of the checkpoint's tensors that must find their place.
    """

    name = "checkpoint-loading"
    causes = ("checkpoint-loading",)
    least_used: float = 0.5

    def observe(self, context: AlgorithmContext) -> list[Observation]:
        """One observation, from the model audit."""
        if context.model is None:
            return []
        loads = context.model.loads
        used = min((c.matched / max(1, c.matched + c.unexpected) for c in loads), default=1.0)
        worst = min(loads, key=lambda c: c.matched / max(1, c.matched + c.unexpected), default=None)
        seen = used < self.least_used
        total = worst.matched + worst.unexpected if worst is not None else 0
        return [
            Observation(
                cause="checkpoint-loading",
                certainty=Certainty.SURE if seen else Certainty.NONE,
                message=f"Of the checkpoint's {total} tensors only {used:.0%} were loaded into the model.",
                remedy="Match the names (strip a prefix such as 'module.'), then load with strict=True.",
                evidence=(Evidence(statistic="share of the checkpoint used", value=used, reference=self.least_used),),
                changes=(Variant(reference=("model",)),) if seen else (),
            )
        ]
