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

    What it does: looks for two kinds. Single pictures whose nearest pictures are far away, against the data's own
    distances. And cliques: clusters of pictures that resemble each other while their labels are no more alike than labels
    drawn from a hat, and are guessed no better than by chance. The cost is the accuracy that these pictures fall short of
    the other pictures of their classes, weighted by their share.

    Why it is bad: they carry labels that their content does not bear out; held out, they cannot be got right.

    Known problems: the rare but right picture is the most valuable one and looks the same from here: look before leaving
    out. A clique that has one label only looks like a kind of that class.

    Remedy: look at the examples; leave out what does not belong: ``zoo diagnose DATA --fix OUT``.

    References: Kuan and Mueller 2022, arXiv 2207.03061; Sun et al. 2022 (deep nearest neighbours), arXiv 2204.06507.
    """

    name: ClassVar[str] = "off-topic"
    side: ClassVar[Side] = Side.DATA
    causes: ClassVar[tuple[str, ...]] = ("off-topic",)

    neighbours: int = 10
    deviations: float = 4.0  # of the log distance to the neighbours, robust, from the data's median
    cluster_size: int = 40  # pictures in a cluster, on average
    fewest: int = 15  # pictures in a clique
    concentration: float = 0.1  # of a clique's labels, 0 as in the whole data, 1 all alike
    lag: float = 0.15  # accuracy that a clique must lie below the whole's
    noted_share: float = 0.005

    def run(self, context: Context) -> list[Finding]:
        """Flag the lonely and the cliques, and weigh them."""
        if len(context.dataset) < 50:
            return [not_applicable(self, "There are too few pictures to say which do not belong.")]
        distance = np.mean([self._loneliness(context, name) for name in context.embeddings], axis=0)
        flagged = (distance > self.deviations) | self._cliques(context)
        share = float(flagged.mean())
        evidence = (Evidence(statistic="flagged", value=share, unit="share", sample_size=len(flagged)),)
        if share < self.noted_share:
            return [passed(self, f"{int(flagged.sum())} pictures do not belong.", evidence=evidence)]
        held_out = context.held_out
        correct = context.correct(context.best)
        cost = matched_cost(correct[held_out], context.labels[held_out], flagged[held_out])
        outcome = judge(cost if flagged[held_out].sum() >= 5 else None)
        order = np.flatnonzero(flagged)[np.argsort(-distance[flagged], kind="stable")]
        return [
            Finding(
                check=self.name,
                cause="off-topic",
                side=self.side,
                outcome=outcome,
                message=f"{int(flagged.sum())} of {len(flagged)} pictures are unlike what their labels have in common.",
                remedy="Look at the examples; leave out what does not belong: zoo diagnose DATA --fix OUT",
                evidence=evidence,
                examples=tuple(
                    Example(path=context.paths[i], note="unlike the others", score=float(distance[i])) for i in order
                ),
                points=cost if outcome is Outcome.FAIL else None,
            )
        ]

    def _loneliness(self, context: Context, backbone: str) -> FloatArray:
        """Log distance to the nearest pictures, in robust deviations from the median, ``(n,)``."""
        k = min(self.neighbours, len(context.dataset) - 1)
        distance = np.log(context.neighbours(backbone, k).distance.mean(axis=1) + 1e-6)
        middle = np.median(distance)
        spread = 1.4826 * np.median(np.abs(distance - middle))
        return np.asarray((distance - middle) / max(float(spread), 1e-6), dtype=np.float32)

    def _cliques(self, context: Context) -> npt.NDArray[np.bool_]:
        """Which pictures are in clusters that have nothing to do with their labels, ``(n,)``."""
        labels, n = context.labels, context.num_classes
        backbone = context.best
        correct, predicted = context.correct(backbone), context.predicted(backbone)
        prior = np.bincount(labels, minlength=n) / len(labels)
        cluster = _clusters(context.reduced(backbone)[:, -64:], self.cluster_size, seed=context.seed)
        found = np.zeros(len(labels), dtype=bool)
        for number in np.unique(cluster):
            members = np.flatnonzero(cluster == number)
            if len(members) < self.fewest:
                continue
            guess = np.bincount(predicted[members], minlength=n) / len(members)
            chance = float(prior @ guess)
            limit = chance + 2 * (chance * (1 - chance) / len(members)) ** 0.5
            rate = float(correct[members].mean())
            blind = rate <= limit and rate <= float(correct.mean()) - self.lag
            found[members] = blind and _concentration(labels[members], prior) <= self.concentration
        return found


def _clusters(features: FloatArray, size: int, *, seed: int) -> IntArray:
    """Spherical k-means with clusters of ``size`` pictures on average, at most 400 of them; the cluster of each, ``(n,)``."""
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    count = int(np.clip(len(unit) // size, 2, 400))
    import faiss  # a list of checks need not load it

    means = faiss.Kmeans(
        unit.shape[1],
        count,
        niter=15,
        seed=seed,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=100,
    )
    means.train(np.ascontiguousarray(unit))
    return np.asarray(means.index.search(unit, 1)[1][:, 0], dtype=np.int64)


def _concentration(labels: IntArray, prior: npt.NDArray[np.floating]) -> float:
    """How much more alike the labels are than labels drawn from the prior: 0 not at all, 1 all the same."""
    count, m = np.bincount(labels, minlength=len(prior)), len(labels)
    alike, base = float((count * (count - 1)).sum() / (m * (m - 1))), float((prior**2).sum())
    return (alike - base) / max(1 - base, 1e-6)
