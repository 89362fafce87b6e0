"""Which labels are wrong, and what they should be: a ranking, a cut at the estimated rate, a suggestion for each.

An image is ranked by the odds that its label is right: what classifiers that never saw the label think of it, times
how often each class's images bear that label. Where noise knows no classes this is the confidence in the given label;
where shirts are called t-shirts it asks whether the image looks like a shirt. Above a tenth of wrong labels the
classifiers are fitted again without the suspects, since by then they have learnt the noise.

Sources: confident learning for the cut at a rate, Northcutt et al. 2021 (arXiv:1911.00068); the transition matrix in
the posterior, Natarajan et al. 2013 and Patrini et al. 2017 (arXiv:1609.03683); its shrinkage, empirical Bayes for
Dirichlet-multinomial counts, Minka 2000.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diagnose.noise import NoiseRate, sureness
from diagnose.opinions import BoolArray, FloatArray, IntArray, Judges, Opinions

_SURE = 0.3  # share of each predicted class from which transitions are counted
_REFIT = 0.1  # seen rate above which the classifiers are fitted again without the suspects
_CERTAIN = 0.02  # lower end of the rate from which wrong labels beyond those seen on sure images are called too
_CONCENTRATIONS = (2.0, 5.0, 10.0, 30.0, 100.0, 300.0, 1e3, 1e5)
_SHARPNESS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0)
_LEAST = 1e-6
_PLANTINGS = 4  # rounds of known wrong labels by which the yield of the list is measured


@dataclass(frozen=True, kw_only=True)
class Suspects:
    """Labels ranked by how likely they are wrong.

    Attributes:
        order: Positions of all images, the most suspect first, ``(n,)``.
        count: How many of them are called suspect.
        log_odds: That the given label is right rather than wrong, ``(n,)``; lower is more suspect.
        suggested: The likeliest other label of each image, ``(n,)``.
        expected: How many of the suspects are truly wrong, from and to (95 %).
    """

    order: IntArray
    count: int
    log_odds: npt.NDArray[np.float64]
    suggested: IntArray
    expected: tuple[int, int]

    @property
    def flagged(self) -> IntArray:
        """Positions of the suspects, the most suspect first, ``(count,)``."""
        return self.order[: self.count]


def suspects(
    judges: Judges,
    labels: IntArray,
    noise: NoiseRate,
    *,
    num_classes: int,
    probabilities: Sequence[FloatArray] = (),
    seed: int = 0,
) -> Suspects:
    """Rank the labels and cut the list at the estimated rate.

    Args:
        judges: Classifiers made ready on the features.
        labels: Given labels, ``(n,)``.
        noise: What ``noise_rate`` says of them.
        num_classes: C.
        probabilities: Out-of-fold class probabilities of further probes under the same labels, each ``(n, C)``.
        seed: Of the planted labels that measure how many of the suspects are truly wrong.
    """
    further = [np.log(np.maximum(matrix, _LEAST)) for matrix in probabilities]
    count = round(cut(noise) * len(labels))
    log_odds, suggested = _judge(judges(labels, num_classes), labels, noise.sighted, further)
    order = np.argsort(log_odds, kind="stable")
    if noise.seen > _REFIT:
        trusted = np.ones(len(labels), dtype=bool)
        trusted[order[:count]] = False
        again = judges(labels, num_classes, learn_from=trusted)
        log_odds, suggested = _judge(again, labels, noise.sighted, further, trusted)
        order = np.argsort(log_odds, kind="stable")
    corrected = labels.copy()
    corrected[order[:count]] = suggested[order[:count]]
    share = _planted_yield(judges, corrected, noise, num_classes=num_classes, seed=seed) if count else (0.0, 0.0)
    return Suspects(
        order=order,
        count=count,
        log_odds=log_odds,
        suggested=suggested,
        expected=_expected(count, len(labels), noise, share),
    )


def cut(noise: NoiseRate) -> float:
    """Share of the labels to call suspect: the estimated rate; where it may be zero, what is seen on sure images."""
    return noise.rate.value if noise.rate.interval[0] >= _CERTAIN else noise.seen


def _judge(
    opinions: Opinions,
    labels: IntArray,
    sighted: float,
    further: Sequence[npt.NDArray[np.floating]] = (),
    trusted: BoolArray | None = None,
) -> tuple[npt.NDArray[np.float64], IntArray]:
    """Log odds that each label is right, and the likeliest other label; with one class there is no other."""
    if opinions.scores.shape[1] == 1:
        return np.full(len(labels), np.inf), labels.copy()
    own = _log_probabilities(opinions.scores, labels, trusted)
    belief = (own + np.mean(further, axis=0)) / 2 if further else own
    rows = np.arange(len(labels))
    transition = np.log(transitions(opinions, labels, sighted=sighted))
    joint = belief + transition[:, labels].T
    right = joint[rows, labels].copy()
    joint[rows, labels] = -np.inf
    top = joint.max(axis=1)
    wrong = top + np.log(np.exp(joint - top[:, None]).sum(axis=1))
    return (right - wrong).astype(np.float64), np.asarray(joint.argmax(axis=1), dtype=np.int64)


def _log_probabilities(scores: FloatArray, labels: IntArray, trusted: BoolArray | None) -> FloatArray:
    """Scores made log probabilities by the one factor under which the trusted labels are likeliest."""
    rows = np.arange(len(labels)) if trusted is None else np.flatnonzero(trusted)

    def likelihood(sharpness: float) -> float:
        return float(_log_softmax(scores[rows] * sharpness)[np.arange(len(rows)), labels[rows]].mean())

    return _log_softmax(scores * max(_SHARPNESS, key=likelihood))


def _log_softmax(scores: FloatArray) -> FloatArray:
    shifted = scores - scores.max(axis=1, keepdims=True)
    normalised: FloatArray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return normalised


def transitions(opinions: Opinions, labels: IntArray, *, sighted: float) -> npt.NDArray[np.float64]:
    """How often images of each class bear each label, ``(C, C)``, rows sum to 1.

    Counted among the images that the classifiers are surest of, and drawn towards equal rates and equal
    targets as far as the counts do not speak against it (two concentrations by marginal likelihood), and to
    the degree that the noise is ``sighted``: it is then no matter of classes.
    """
    num_classes = opinions.scores.shape[1]
    if num_classes == 1:
        return np.ones((1, 1))
    part = sureness(opinions) <= _SURE
    counts = np.zeros((num_classes, num_classes))
    np.add.at(counts, (opinions.predicted[part], labels[part]), 1)
    seen = counts.sum(axis=1)
    counts[np.diag_indices(num_classes)] = 0
    wrong = counts.sum(axis=1)
    rate = float(np.clip(wrong.sum() / max(seen.sum(), 1), 0.003, 0.9))
    even = np.array([rate, 1 - rate])
    splits = np.stack([wrong, seen - wrong], axis=1)
    rates = (wrong + rate * (k := _concentration(splits, even))) / (seen + k)
    off = ~np.eye(num_classes, dtype=bool)
    targets = counts[off].reshape(num_classes, num_classes - 1)
    level = np.full(num_classes - 1, 1 / (num_classes - 1))
    k = _concentration(targets, level)
    shares = (targets + k * level) / (wrong[:, None] + k)
    matrix = np.diag(1 - rates)
    matrix[off] = (rates[:, None] * shares).ravel()
    uniform = np.where(off, rate / (num_classes - 1), 1 - rate)
    mixed: npt.NDArray[np.float64] = (1 - sighted) * matrix + sighted * uniform
    return mixed


def _concentration(counts: npt.NDArray[np.float64], shares: npt.NDArray[np.float64]) -> float:
    """The concentration around ``shares`` under which the rows of counts are likeliest."""
    from scipy.special import gammaln  # slow to import

    total = counts.sum(axis=1)

    def likelihood(strength: float) -> float:
        prior = strength * shares
        rows = gammaln(strength) - gammaln(strength + total) + (gammaln(prior + counts) - gammaln(prior)).sum(axis=1)
        return float(rows.sum())

    return max(_CONCENTRATIONS, key=likelihood)


def _planted_yield(
    judges: Judges, corrected: IntArray, noise: NoiseRate, *, num_classes: int, seed: int
) -> tuple[float, float]:
    """Share of the suspects that is truly wrong, where wrong labels are planted in corrected data: mean and error."""
    rng = np.random.default_rng(seed)
    n = len(corrected)
    planted = max(round(noise.seen * n), 1)
    yields = []
    for _ in range(_PLANTINGS if num_classes > 1 else 0):
        labels, rows = corrected.copy(), rng.choice(n, planted, replace=False)
        labels[rows] = (labels[rows] + rng.integers(1, num_classes, planted)) % num_classes
        log_odds, _ = _judge(judges(labels, num_classes), labels, noise.sighted)
        found = np.argpartition(log_odds, planted - 1)[:planted]
        yields.append(float((labels[found] != corrected[found]).mean()))
    return (float(np.mean(yields)), float(np.std(yields))) if yields else (0.0, 0.0)


def _expected(count: int, n: int, noise: NoiseRate, share: tuple[float, float]) -> tuple[int, int]:
    """From the rate's interval, the list's yield on planted labels, and the binomial spread of what is left."""
    low, high = noise.rate.interval
    mean, error = share
    least = mean * min(low * n, count)
    most = min(float(count), min(mean + 2 * error, 1) * min(high * n, count))
    return max(0, round(least - _spread(least, mean))), min(count, round(most + _spread(most, mean)))


def _spread(real: float, share: float) -> float:
    """Two standard deviations of a binomial count with this mean."""
    return 2 * float(np.sqrt(max(real * (1 - share), 0)))
