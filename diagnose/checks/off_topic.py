"""Pictures that do not belong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from diagnose.check import DATA_CHECKS, Check, not_applicable, passed
from diagnose.comparison import matched_cost
from diagnose.context import Context
from diagnose.findings import Evidence, Example, Finding, Outcome, Side
from diagnose.verdict import judge
from zoo.neighbours import FloatArray, IntArray


@DATA_CHECKS.register("off-topic")
@dataclass(frozen=True, kw_only=True)
class OffTopic(Check[Context]):
    """Pictures unlike all others: screenshots among photographs, a shelf among shirts.

    What it does: measures how far each picture is from its nearest pictures, and from a tenth of those of its own class (so
    that a small clique of strangers does not vouch for itself). Far outliers in the data's own distribution are flagged.
    The cost is the accuracy that they fall short of the other pictures of their classes, weighted by their share.

    Why it is bad: they carry labels that their content does not bear out; held out, they cannot be got right.

    Known problems: the rare but right picture is the most valuable one and looks the same from here: look before leaving
    out. A wrong label makes a picture a stranger to its class too: see ``label-noise``.

    Remedy: look at the examples; leave out what does not belong: ``zoo diagnose DATA --fix OUT``.

    References: Kuan and Mueller 2022, arXiv 2207.03061; Sun et al. 2022 (deep nearest neighbours), arXiv 2204.06507.
    """

    name: ClassVar[str] = "off-topic"
    side: ClassVar[Side] = Side.DATA
    causes: ClassVar[tuple[str, ...]] = ("off-topic",)

    neighbours: int = 10
    class_share: float = 0.1  # of the class that a picture must be near to
    deviations: float = 4.0  # of the log distance, robust, from the data's median
    noted_share: float = 0.005

    def run(self, context: Context) -> list[Finding]:
        """Measure distances, flag outliers, weigh them."""
        if len(context.dataset) < 50:
            return [not_applicable(self, "There are too few pictures to say which do not belong.")]
        distance = self.distances(context)
        flagged = _outliers(distance, self.deviations)
        share = float(flagged.mean())
        evidence = (Evidence(statistic="flagged", value=share, unit="share", sample_size=len(flagged)),)
        if share < self.noted_share:
            return [passed(self, f"{int(flagged.sum())} pictures are far from all others.", evidence=evidence)]
        held_out = context.held_out
        correct = context.correct(context.backbones[0])
        cost = matched_cost(correct[held_out], context.labels[held_out], flagged[held_out])
        outcome = judge(cost if flagged[held_out].sum() >= 5 else None)
        order = np.argsort(-distance, kind="stable")
        return [
            Finding(
                check=self.name,
                cause="off-topic",
                side=self.side,
                outcome=outcome,
                message=f"{int(flagged.sum())} of {len(flagged)} pictures are unlike all others.",
                remedy="Look at the examples; leave out what does not belong: zoo diagnose DATA --fix OUT",
                evidence=evidence,
                examples=tuple(
                    Example(path=context.paths[i], note="unlike the others", score=float(distance[i]))
                    for i in order[: min(50, int(flagged.sum()))]
                ),
                points=cost if outcome is Outcome.FAIL else None,
            )
        ]

    def distances(self, context: Context) -> FloatArray:
        """How far each picture is from the others: the mean over the backbones of standardised log distances, ``(n,)``."""
        return np.mean([_standard(self._distance(context, name)) for name in context.embeddings], axis=0).astype(
            np.float32
        )

    def _distance(self, context: Context, backbone: str) -> FloatArray:
        k = min(self.neighbours, len(context.dataset) - 1)
        near = context.neighbours(backbone, k).distance.mean(axis=1)
        own = _class_distance(context.reduced(backbone), context.labels, self.class_share)
        return np.log(near + 1e-6) + np.log(own + 1e-6)


def _class_distance(features: FloatArray, labels: IntArray, share: float) -> FloatArray:
    """Cosine distance of each picture to the given share of its class, by at most 400 pictures of it, ``(n,)``."""
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    rng = np.random.default_rng(0)
    out = np.zeros(len(labels), dtype=np.float32)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        others = rng.permutation(members)[:400]
        place = min(len(others) - 1, max(1, round(share * len(others))))
        distance = 1 - unit[members] @ unit[others].T
        out[members] = np.partition(distance, place, axis=1)[:, place]
    return np.maximum(out, 0)


def _standard(values: FloatArray) -> FloatArray:
    """Distance from the median, in robust standard deviations of the lower half (the upper may hold the strangers)."""
    middle = np.median(values)
    lower = values[values <= middle]
    spread = 1.4826 * np.median(middle - lower)
    return np.asarray((values - middle) / max(float(spread), 1e-6), dtype=np.float32)


def _outliers(distance: FloatArray, deviations: float) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = _standard(distance) > deviations
    return found
