"""The share of wrong labels, with an interval, from classifiers that never saw the label they judge.

What is counted is disagreement with the given label among the images that the classifiers are surest of, the same
share of every predicted class. For noise that does not look at the image (uniform, or by class) this is the rate
itself, since sure classifiers are right and their sureness knows nothing of the label. Wrong labels that fall on hard
images are not all seen there: the rate then lies between that figure and the disagreement among all images, where the
classifiers' own errors are counted too.

Where the classifiers hardly quarrel among themselves they hardly err, and more images can be counted: seven in ten, less
three errors for every quarrel. That makes the interval narrower, and no other use is made of it.

Which of the two kinds of noise it is, shows in the wrong labels themselves. A label given without a look at the image
resembles the image no more than chance: among the images predicted as the same class, the score of the given class is as
often above the middle as below. A label given by someone who looked, and a classifier's error, have a high score. Blind
noise is as frequent among images that are nearly sure as among the surest. And errors of the classifiers are about as
frequent as the quarrels among them: disagreement with the labels beyond that is noise. The interval's upper end goes from
the narrow one to the wide one as these signs appear, and all the way where sure images hardly bear a wrong label, so that
nothing shows of what kind there is. One assumption stays: that noise which is plainly blind on sure images does not come
with a second, sighted kind that only strikes hard ones. Nothing in the data could tell.

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
_NEARLY = 0.5  # from here to the end of the broad part classifiers are nearly sure
_BROAD = 0.7  # share of each predicted class where unlike labels are counted, twice
_Z = 1.9  # standard errors to either end; bias has its own terms
_VARIANCE, _BROAD_VARIANCE = 1.3, 0.43  # of the two counts, over rate (1 - rate) / n
_ERRORS = 3.0  # of the classifiers, for every quarrel among them, at most
_BIAS = 0.1  # of the disagreement outside, how much of it may leak into the sure part
_FLOOR = 0.005  # rates that are not told from zero
_CERTAIN = 0.005  # what the lower end stays below the counts besides: errors of sure classifiers that nothing shows
_RESEMBLING_FROM, _RESEMBLING_WIDTH = 0.08, 0.3  # mean rank above 1/2 from which, until none is, not all need be wrong
_LEARNT, _BROAD_LEARNT = 0.15, 0.1  # at high rates classifiers learn the noise: error of the counts over their square
_MARGIN = 0.0025
_FREE = 0.01  # that the wide end may always add
_SCARCE = 0.02  # disagreement among sure images below which it says nothing about its kind
_AFFINITY_FROM, _AFFINITY_WIDTH = 0.03, 0.1  # mean rank above 1/2 from which labels of sure images look sighted
_BROAD_Z, _BROAD_FROM, _BROAD_WIDTH = 0.5, 0.04, 0.08  # the same in the broad part, beyond what errors explain
_ERROR_AFFINITY = 0.33  # mean rank above 1/2 of the classifiers' own errors
_TILT_Z, _TILT_WIDTH = 0.7, 0.4  # disagreement that rises from sure to nearly sure images, over the rate
_QUARREL_FROM, _QUARREL_WIDTH = 1.05, 0.25  # unexplained disagreement over quarrels
_SWALLOWED = 1.1  # share of noise beyond quarrels that classifiers repeat
_REPEATED = 0.2  # of the disagreement, and its square besides: noise that classifiers repeat for having learnt it
_WIDE_Z = 1.5


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseRate:
    """How many labels are wrong.

    Attributes:
        rate: Share of wrong labels in [0, 1] with its 95 % interval.
        seen: Share that is visible where classifiers are sure, were the noise blind; how many labels to call suspect.
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
    quarrel: float  # share of the images on which the classifiers quarrel

    @property
    def errors(self) -> float:
        """The classifiers' own errors here, at most."""
        return min(_ERRORS * self.quarrel, 1.0)


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
    sure, broad = (_count(opinions, labels, places <= share) for share in (_SURE, _BROAD))
    nearly = _count(opinions, labels, (places > _NEARLY) & (places <= _BROAD))
    every = float((opinions.predicted != labels).mean())
    quarrel = float(opinions.quarrels.mean())
    counted = _counted(sure, broad)
    low, narrow = _lower_end(sure, broad, every, n), _narrow_end(sure, broad, n)
    wide = max(narrow, _wide_end(sure, every, quarrel, n))
    scarce = _scarcity(sure)
    signs = max(scarce, _sighted(sure, broad, every - counted, quarrel), _tilted(sure, nearly, counted))
    high = max(narrow + signs * (wide - narrow), min(wide, narrow + _FREE))
    seen = max((counted + max(0.0, broad.rate - broad.errors)) / 2, low + (narrow - low) / 3 if low else 0.0)
    value = seen + (1 - scarce) * signs * max(every - seen, 0) / 2
    interval = (low, min(1.0, high))
    return NoiseRate(
        rate=Estimate(value=float(np.clip(value, *interval)), interval=interval),
        seen=seen,
        disagreement=every,
        sighted=signs,
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
        quarrel=float(opinions.quarrels[part].mean()) if part.any() else 0.0,
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


def _sighted(sure: _Counts, broad: _Counts, unexplained: float, quarrel: float) -> float:
    """Signs that wrong labels depend on the image, in [0, 1]: they resemble it, or are more than quarrels explain."""
    affinity = (sure.affinity - 0.5 - _AFFINITY_FROM) / _AFFINITY_WIDTH
    explained = _ERROR_AFFINITY * min(1.0, broad.errors / max(broad.rate, 1e-9))
    chance = 1 / np.sqrt(12 * max(broad.ranked, 1))
    resembling = (broad.affinity - 0.5 - explained + _BROAD_Z * chance - _BROAD_FROM) / _BROAD_WIDTH
    beyond = (unexplained / max(quarrel, 1e-3) - _QUARREL_FROM) / _QUARREL_WIDTH if unexplained > _FLOOR else 0.0
    return float(np.clip(max(affinity, resembling, beyond), 0, 1))


def _tilted(sure: _Counts, nearly: _Counts, seen: float) -> float:
    """Signs, in [0, 1], that labels are wrong more often where the classifiers are less sure, beyond their own errors."""
    rise = nearly.rate - nearly.errors - sure.rate
    one, other = (_deviation(part.rate, max(part.size, 1)) for part in (sure, nearly))
    chance = float(np.hypot(one, other))
    return float(np.clip((rise - _TILT_Z * chance) / (_TILT_WIDTH * max(seen, 0.01)), 0, 1))


def _deviation(rate: float, n: int) -> float:
    """Standard deviation of a share, of at least two counts."""
    held = float(np.clip(rate, 2 / n, 1))
    return float(np.sqrt(held * max(1 - held, 1e-3) / n))


def _counted(sure: _Counts, broad: _Counts) -> float:
    """The rate by the sure part's wrong labels and by the broad part's unlike ones."""
    return (sure.rate + broad.unlike) / 2


def _lower_end(sure: _Counts, broad: _Counts, every: float, n: int) -> float:
    """The larger of what the sure part and the broad part, its errors taken off, leave at least.

    Labels that contradict sure classifiers and yet resemble the image may be right, and the classifiers wrong: those
    are left out as their mean rank says. Blind noise is as frequent in the sure part as in the broad one, which is
    therefore not believed beyond it.
    """
    blind = float(np.clip(1 - (sure.affinity - 0.5 - _RESEMBLING_FROM) / _RESEMBLING_WIDTH, 0, 1))
    resembling = blind * (sure.rate + (min(sure.rate, broad.unlike) - sure.rate) / 3)
    bias = max(_FLOOR, sure.quarrel, _BIAS * (every - sure.rate)) + _LEARNT * sure.rate**2
    broad_bias = broad.errors + _FLOOR + _BROAD_LEARNT * broad.rate**2
    ends = (
        resembling - _spread(_counted(sure, broad), n, _VARIANCE) - bias,
        min(broad.rate - _spread(broad.rate, n, _BROAD_VARIANCE) - broad_bias, blind * sure.rate),
    )
    least = max(ends) - _CERTAIN
    return least if least >= _FLOOR else 0.0


def _narrow_end(sure: _Counts, broad: _Counts, n: int) -> float:
    """The upper end for blind noise: both counts are too high rather than too low."""
    counted = _counted(sure, broad)
    ends = (
        max(sure.rate, counted) + _spread(counted, n, _VARIANCE),
        broad.rate + _spread(broad.rate, n, _BROAD_VARIANCE),
    )
    return max(min(ends) + _MARGIN, counted)


def _wide_end(sure: _Counts, every: float, quarrel: float, n: int) -> float:
    """The upper end for noise that may hide on hard images."""
    repeated = _REPEATED * every + every**2 + _SWALLOWED * max(0.0, every - sure.rate - quarrel)
    return every + repeated + _WIDE_Z * float(np.sqrt(every * (1 - every) / n))


def _spread(rate: float, n: int, variance: float) -> float:
    """How far a count may lie from the rate by chance alone."""
    return _Z * float(np.sqrt(variance) * _deviation(rate, n) + 0.5 / n)
