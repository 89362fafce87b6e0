"""How far the pictures are from those that the zoo's models were trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diagnose.check import DATA_CHECKS, Check, not_applicable, passed
from diagnose.context import Context
from diagnose.findings import Evidence, Finding, Outcome, Side
from zoo.neighbours import FloatArray


@DATA_CHECKS.register("domain-gap")
@dataclass(frozen=True, kw_only=True)
class DomainGap(Check[Context]):
    """Pictures far from the photographs that the zoo's models have seen: microscopes, X-rays, drawings.

    What it does: measures in how many directions the features vary (their participation ratio). Among photographs of
    things they vary in many; where the models see all pictures as nearly the same kind of thing, in few. Never a fault.

    Why it matters: features of strangers separate classes less well than they could, so what a frozen model reaches says
    less of what the data allows; fine-tuning wins more than usual.

    Known problems: very uniform photographs (one object before one wall) look the same from here.

    Remedy: fine-tune the whole network (``zoo finetune DATA``), and read the ceiling as a lower bound.

    References: participation ratio: Gao et al. 2017, doi:10.1101/214262; Kornblith et al. 2019, arXiv 1805.08974.
    """

    name: ClassVar[str] = "domain-gap"
    side: ClassVar[Side] = Side.DATA
    causes: ClassVar[tuple[str, ...]] = ("domain-gap",)

    few_directions: float = 25.0
    fewest: int = 200  # pictures

    def run(self, context: Context) -> list[Finding]:
        """Measure the participation ratio with the best backbone."""
        if len(context.dataset) < self.fewest:
            return [not_applicable(self, "There are too few pictures to compare their domain.")]
        ratio = participation_ratio(context.reduced(context.best))
        evidence = (
            Evidence(
                statistic="directions of variation",
                value=ratio,
                reference=self.few_directions,
                sample_size=len(context.dataset),
            ),
        )
        if ratio >= self.few_directions:
            return [passed(self, "The models see these pictures as varied, like photographs.", evidence=evidence)]
        return [
            Finding(
                check=self.name,
                cause="domain-gap",
                side=self.side,
                outcome=Outcome.REVIEW,
                message="The models see these pictures as much the same kind of thing: they are far from what they know. "
                "What a frozen model reaches says less of what the data allows.",
                remedy="Fine-tune the whole network: zoo finetune DATA",
                evidence=evidence,
            )
        ]


def participation_ratio(features: FloatArray) -> float:
    """``(sum of variances)^2 / sum of squared variances`` of principal components ``(n, r)``; between 1 and r."""
    variance = features.astype(np.float64).var(axis=0)
    return float(variance.sum() ** 2 / max(float((variance**2).sum()), 1e-24))
