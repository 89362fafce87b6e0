"""The share of wrong labels, with an interval, from classifiers that never saw the label they judge.

What is counted is disagreement with the given label among the images that the classifiers are surest of, the same
share of every predicted class. For noise that does not look at the image (uniform, or by class) this is the rate
itself, since sure classifiers are right and their sureness knows nothing of the label. Wrong labels that fall on hard
images are not all seen there: the rate then lies between that figure and the disagreement among all images, where the
classifiers' own errors are counted too.

Which of the two it is, shows in the wrong labels themselves. A label given without a look at the image resembles
the image no more than chance: among the images predicted as the same class, the score of the given class is as often
above the middle as below. A label given by someone who looked, and a classifier's error, have a high score. And errors
of the classifiers are about as frequent as the quarrels among them: disagreement with the labels beyond that is noise.
The interval's upper end goes from the narrow one to the wide one as these two signs appear. One assumption stays: that
noise which is plainly blind on sure images does not come with a second, sighted kind that only strikes hard ones.
Nothing in the data could tell.

``benchmarks/label_noise.py`` measures it, and says how the constants were found.

Sources: anchor points, Patrini et al. 2017 (arXiv:1609.03683); the share of true nulls from their uniform ranks,
Storey 2002 (doi:10.1111/1467-9868.00346); models and labels as fallible witnesses of one truth, Dawid and Skene 1979
(doi:10.2307/2346806).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diagnose.findings import Estimate
from diagnose.opinions import FloatArray, IntArray, Opinions

_SURE = 0.3  # share of each predicted class where classifiers are taken to be right
_HALF = 0.5  # a second share in which the kind of the noise is looked at
_BROAD = 0.7  # share of each predicted class where unlike labels are counted, twice
_Z_LOW, _Z_HIGH = 1.6, 2.0  # standard errors to the two ends; bias has its own terms
_VARIANCE = 1.3  # of the rate, over rate (1 - rate) / n
_LEAK, _LEAK_AT_MOST = 0.03, 0.08  # of the disagreement outside the sure part: how much of it is inside, too
_FLOOR = 0.005  # rates that are not told from zero
_LEARNT_LOW, _LEARNT_HIGH = 0.1, 0.02  # at high rates classifiers learn the noise: over the square, over the rate
_MARGIN = 0.002
_SCARCE = 0.015  # disagreement among sure images below which it says nothing about its kind
_AFFINITY_Z, _AFFINITY_FROM, _AFFINITY_WIDTH = 0.7, 0.01, 0.11  # mean rank above 1/2 from which labels look sighted
_QUARREL_FROM, _QUARREL_WIDTH = 0.88, 0.2  # unexplained disagreement over quarrels
_DOUBT = 0.05  # sightedness that is always allowed for
_REPEATED = 1.1  # at high rates classifiers repeat the noise: share of the disagreement over its square
_SWALLOWED = 1.2  # share of noise beyond quarrels that classifiers repeat


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseRate:
    """How many labels are wrong.

    Attributes:
        rate: Share of wrong labels in [0, 1] with its 95 % interval.
        seen: Share that is visible where classifiers are sure; how many labels to call suspect.
        disagreement: Share of all images whose label the classifiers contradict: wrong labels and their own errors.
        sighted: Signs that labels are wrong where images are hard, in [0, 1]: 0 blind noise, 1 noise that may hide.
        sample_size: Images that were counted.
    """

    rate: Estimate
    seen: float
    disagreement: float
    sighted: float
    sample_size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Counts:
    """Disagreement with the given labels inside a part of every predicted class."""

    rate: float  # weighted by predicted class
    unlike: float  # the same, estimated from the labels that resemble the image less than the median does
    affinity: float  # mean rank of the given class's score, in [0, 1]; 1/2 where nothing was found
    ranked: int
    wrong: int
    size: int


def noise_rate(opinions: Opinions, labels: IntArray) -> NoiseRate:
    """Estimate the share of wrong labels.

    Args:
        opinions: Out-of-fold opinions under these labels.
        labels: Given labels, ``(n,)``.

    Raises:
        ValueError: There are no images.
    """
    n = len(labels)
    if not n:
        raise ValueError("The labels of noise_rate must not be empty.")
    places = sureness(opinions)
    sure, half, broad = (_count(opinions, labels, places <= share) for share in (_SURE, _HALF, _BROAD))
    every = float((opinions.predicted != labels).mean())
    lower_view = min(sure.rate, broad.unlike)
    seen = (sure.rate + broad.unlike) / 2
    error = float(np.sqrt(np.clip(seen, 2 / n, 1) * (1 - np.clip(seen, 0, 1)) / n * _VARIANCE)) + 0.5 / n
    signs = _sighted((sure, half), every - seen, opinions.quarrel)
    interval = (
        _lower_end(sure.rate, lower_view, every, error),
        _upper_end(sure.rate, seen, every, error, signs, opinions.quarrel, n),
    )
    scarce = _scarcity(sure)
    seen = max(seen - _LEAK * max(every - sure.rate, 0), 0.0)
    value = seen + (1 - scarce) * signs * max(every - seen, 0) / 2
    return NoiseRate(
        rate=Estimate(value=float(np.clip(value, *interval)), interval=interval),
        seen=seen,
        disagreement=every,
        sighted=max(signs, scarce),
        sample_size=n,
    )


def sureness(opinions: Opinions) -> npt.NDArray[np.float64]:
    """Each image's place in its predicted class by the best score's lead over the second, ``(n,)``: 0 is the surest."""
    scores, predicted = opinions.scores, opinions.predicted
    places = np.ones(len(predicted))
    if scores.shape[1] > 1:
        leading = np.partition(scores, -2, axis=1)
        lead = leading[:, -1] - leading[:, -2]
    else:
        lead = scores[:, 0]
    for label in np.unique(predicted):
        members = np.flatnonzero(predicted == label)
        places[members[np.argsort(-lead[members], kind="stable")]] = (np.arange(len(members)) + 0.5) / len(members)
    return places


def _count(opinions: Opinions, labels: IntArray, part: npt.NDArray[np.bool_]) -> _Counts:
    predicted, n = opinions.predicted, len(labels)
    rate = unlike = 0.0
    ranks: list[npt.NDArray[np.float64]] = []
    for label in np.unique(predicted):
        share = (predicted == label).sum() / n
        members = np.flatnonzero((predicted == label) & part)
        if not len(members):
            continue
        rate += share * float((labels[members] != label).mean())
        found = _ranks(opinions.scores[members], labels[members], int(label))
        unlike += share * 2 * float((found < 0.5).sum()) / len(members)
        ranks.append(found)
    every = np.concatenate(ranks) if ranks else np.empty(0)
    return _Counts(
        rate=rate,
        unlike=unlike,
        affinity=float(every.mean()) if len(every) else 0.5,
        ranked=len(every),
        wrong=int((labels[part] != predicted[part]).sum()),
        size=int(part.sum()),
    )


def _ranks(scores: FloatArray, labels: IntArray, predicted: int) -> npt.NDArray[np.float64]:
    """For each image that bears another label, the rank of its score among images that do not bear it, in [0, 1]."""
    ranks = []
    for given in np.unique(labels):
        own = scores[labels == given, given]
        others = np.sort(scores[labels != given, given])
        if given == predicted or len(others) < 5:
            continue
        ranks.append((np.searchsorted(others, own) + np.searchsorted(others, own, side="right")) / (2 * len(others)))
    return np.concatenate(ranks) if ranks else np.empty(0)


def _scarcity(sure: _Counts) -> float:
    """1 where sure images hardly ever bear another label, 0 where enough do to see of what kind they are."""
    enough = _SCARCE * sure.size
    return float(np.clip((enough - sure.wrong) / max(enough / 2, 1e-12), 0, 1))


def _sighted(parts: tuple[_Counts, _Counts], unexplained: float, quarrel: float) -> float:
    """Signs that wrong labels depend on the image, in [0, 1]."""
    chances = [1 / np.sqrt(12 * max(part.ranked, 1)) for part in parts]
    excess = max(part.affinity - 0.5 - _AFFINITY_Z * chance for part, chance in zip(parts, chances, strict=True))
    affinity = (excess - _AFFINITY_FROM) / _AFFINITY_WIDTH
    beyond = (unexplained / max(quarrel, 1e-3) - _QUARREL_FROM) / _QUARREL_WIDTH if unexplained > _FLOOR else 0.0
    return float(np.clip(max(affinity, beyond), 0, 1))


def _lower_end(sure: float, lower_view: float, every: float, error: float) -> float:
    seen = sure + 0.4 * (lower_view - sure)
    bias = max(_FLOOR, _LEAK_AT_MOST * (every - sure)) + _LEARNT_LOW * sure**2
    return max(0.0, seen - _Z_LOW * error - bias)


def _upper_end(sure: float, seen: float, every: float, error: float, signs: float, quarrel: float, n: int) -> float:
    narrow = max(sure, seen) + _Z_HIGH * error + _MARGIN + _LEARNT_HIGH * sure
    swallowed = _REPEATED * every**2 + _SWALLOWED * max(0.0, every - sure - quarrel)
    wide = every + swallowed + float(np.sqrt(every * (1 - every) / n))
    return float(min(1.0, narrow + max(signs, _DOUBT) * max(wide - narrow, 0)))
