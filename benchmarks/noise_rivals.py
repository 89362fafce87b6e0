"""Estimators of the rate of wrong labels that were tried and lost: each is given the same opinions, and returns a rate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.noise_planting import FloatArray, IntArray
from diagnose.noise import sureness
from diagnose.opinions import Judges, Opinions

Estimator = Callable[[Judges, Opinions, IntArray], float]


def argmax(_: Judges, opinions: Opinions, labels: IntArray) -> float:
    """Share of labels that differ from the prediction."""
    return float((opinions.predicted != labels).mean())


def pooled(_: Judges, opinions: Opinions, labels: IntArray) -> float:
    """Disagreement among the surest 30 % of all images together."""
    leading = np.sort(opinions.scores, axis=1)
    surest = np.argsort(leading[:, -2] - leading[:, -1])[: max(1, round(0.3 * len(labels)))]
    return float((opinions.predicted != labels)[surest].mean())


def by_class(_: Judges, opinions: Opinions, labels: IntArray) -> float:
    """Disagreement among the surest 30 % of each predicted class."""
    part, total = sureness(opinions) <= 0.3, 0.0
    for label in np.unique(opinions.predicted):
        mine = opinions.predicted == label
        total += mine.mean() * float((labels != label)[mine & part].mean())
    return total


def planted_back(judges: Judges, opinions: Opinions, labels: IntArray) -> float:
    """Self-calibration: plant 10 and 20 % more, fit disagreement = a + b x rate, and take the model's own errors off.

    ``b`` is measured; what disagreement there is without noise is taken from the same labels, the disagreeing ones
    replaced by the predictions.
    """
    rng, c = np.random.default_rng(0), opinions.scores.shape[1]
    observed = argmax(judges, opinions, labels)
    own = opinions.predicted
    clean = argmax(judges, judges(own, c), own)
    slopes = []
    for extra in (0.1, 0.2):
        given = own.copy()
        rows = rng.choice(len(own), round(extra * len(own)), replace=False)
        given[rows] = (own[rows] + rng.integers(1, c, len(rows))) % c
        slopes.append((argmax(judges, judges(given, c), given) - clean) / extra)
    return float(np.clip((observed - clean) / np.mean(slopes), 0, 1))


def dawid_skene(_: Judges, opinions: Opinions, labels: IntArray) -> float:
    """Dawid and Skene's EM over the given label and every classifier's prediction, taken as independent witnesses."""
    c, n = opinions.scores.shape[1], len(labels)
    witnesses = [labels, *(m.argmax(axis=1) for m in (*opinions.linear, *opinions.neighbours))]
    votes = np.stack([np.eye(c)[w] for w in witnesses])
    truth = votes.mean(axis=0)
    for _iteration in range(40):
        prior = truth.mean(axis=0) + 1e-9
        likelihood = np.log(prior)[None].repeat(n, axis=0)
        for vote in votes:
            confusion = truth.T @ vote + 0.1
            likelihood += np.log(confusion / confusion.sum(axis=1, keepdims=True))[:, vote.argmax(axis=1)].T
        likelihood -= likelihood.max(axis=1, keepdims=True)
        truth = np.exp(likelihood)
        truth /= truth.sum(axis=1, keepdims=True)
    return float(1 - truth[np.arange(n), labels].mean())


def co_training(_: Judges, opinions: Opinions, labels: IntArray) -> float:
    """What all classifiers contradict, less half of what they quarrel about: their shared errors, were those half."""
    votes = np.stack([m.argmax(axis=1) for m in (*opinions.linear, *opinions.neighbours)])
    agreed = (votes == votes[0]).all(axis=0)
    return float(max(0.0, (agreed & (votes[0] != labels)).mean() - 0.5 * (~agreed).mean()))


def mixture(_: Judges, opinions: Opinions, labels: IntArray) -> float:
    """Two normals fitted to the margins of the given label by EM; the weight of the lower one."""
    rows = np.arange(len(labels))
    rest = opinions.scores.copy()
    rest[rows, labels] = -np.inf
    margin = opinions.scores[rows, labels] - rest.max(axis=1)
    means, spread, weight = np.quantile(margin, [0.05, 0.6]), np.full(2, margin.std()), np.array([0.1, 0.9])
    for _iteration in range(100):
        density = weight * np.exp(-0.5 * ((margin[:, None] - means) / spread) ** 2) / spread + 1e-300
        part = density / density.sum(axis=1, keepdims=True)
        total = part.sum(axis=0) + 1e-9
        weight, means = total / len(margin), (part * margin[:, None]).sum(axis=0) / total
        spread = np.sqrt((part * (margin[:, None] - means) ** 2).sum(axis=0) / total) + 1e-3
    return float(weight[means.argmin()])


def joint(probabilities: FloatArray, labels: IntArray) -> float:
    """cleanlab's estimate: the off-diagonal of the calibrated confident joint."""
    from cleanlab.count import estimate_joint

    return float(1 - np.trace(estimate_joint(labels, probabilities)))


RIVALS: dict[str, Estimator] = {
    "argmax differs from label": argmax,
    "sure 30 %, pooled": pooled,
    "sure 30 %, by predicted class": by_class,
    "planted noise, extrapolated back": planted_back,
    "Dawid-Skene": dawid_skene,
    "co-training agreement": co_training,
    "mixture of margins": mixture,
}
