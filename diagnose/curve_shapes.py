"""What the curves of a training look like, and since when: a judge that knows nothing but the log.

Thresholds were chosen on some of the trainings of ``benchmarks/curves.py`` and are reported on the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from diagnose.curves import Curves, FloatArray, Series

_FEWEST = 3  # points under which a curve has no shape


class Shape(StrEnum):
    """Names of what a curve can look like, gravest first."""

    DIVERGED = "diverged"
    PLATEAU = "plateau"
    NOISY = "noisy"
    SLOW = "slow"
    STILL_IMPROVING = "still-improving"
    OVERFITTING = "overfitting"
    UNDERFITTING = "underfitting"
    HELD_BACK = "held-back"


@dataclass(frozen=True, kw_only=True)
class Sign:
    """One shape that a curve has.

    Attributes:
        since: When it began, in the curves' unit.
        words: The figures that show it, as a part of a sentence.
        statistic: What was measured; ``value`` is what it came to, ``reference`` what it was held against.
    """

    shape: Shape
    since: float
    words: str
    statistic: str
    value: float
    reference: float


@dataclass(frozen=True, kw_only=True)
class CurveJudge:
    """The judge's thresholds.

    Attributes:
        rise: Training loss at the end over its least, from which on it has diverged.
        flat: Share of the first loss that must be won for the curve not to be flat.
        hardly: Accuracy over chance, as a share of what is left to win, that a flat curve stays under.
        overfit: Rise of the validation loss over its least, as a share, while the training loss falls.
        gap: Training less validation accuracy that counts as overfitting.
        fitted: Accuracy under which pictures, once the curves have levelled out, are underfitted.
        improving: Fall of a loss over the last third, as a share, from which on it still improves.
        level: Fall over the last third under which a curve has levelled out.
        rough: Mean jump of a loss between neighbours, over its own size, in the second half of a noisy curve.
        slow: Share of the first loss that a slow curve has not won by its end.
        steady: Share of its steps that must go down.
        blown: Training loss over that of knowing nothing, from which on it blew up, where nothing was learnt.
        gaining: Accuracy won over the last third, where it is logged, from which on it still improves.
        unsure: Training loss, nats, over the most that knowing how often one errs leaves, from which on the network is held back.
        known: Training accuracy from which on the gap to other pictures is overfitting.
    """

    rise: float = 1.5
    flat: float = 0.05
    hardly: float = 0.10
    overfit: float = 0.15
    gap: float = 0.10
    fitted: float = 0.9
    improving: float = 0.12
    level: float = 0.10
    rough: float = 0.25
    slow: float = 0.5
    steady: float = 0.8
    blown: float = 1.5
    gaining: float = 0.02
    unsure: float = 0.2
    known: float = 0.85

    def __call__(self, curves: Curves, *, num_classes: int | None = None) -> tuple[Sign, ...]:
        """The shapes that these curves have, gravest first.

        Args:
            curves: As logged.
            num_classes: Of the data, where known: what chance is.
        """
        seen = _Seen(curves, num_classes)
        diverged = self._diverged(seen)
        if diverged is not None:
            return (diverged,)
        stuck = self._slow(seen) or self._plateau(seen)
        if stuck is not None:
            return (stuck,)
        signs = (
            self._noisy(seen),
            self._improving(seen),
            self._overfitting(seen),
            self._underfitting(seen),
            self._held_back(seen),
        )
        return tuple(sign for sign in signs if sign is not None)

    def _diverged(self, seen: _Seen) -> Sign | None:
        for name, series in (("training", seen.train), ("validation", seen.validation)):
            values = series.array
            broken = np.flatnonzero(~np.isfinite(values))
            if len(broken):
                at = series.at[int(broken[0])]
                return _sign(Shape.DIVERGED, at, f"the {name} loss is not a number", "loss that is finite", 0.0, 1.0)
        values = seen.train.array
        if len(values) < _FEWEST:
            return None
        low = int(values.argmin())
        end = float(np.median(values[-3:]))
        ratio = end / max(abs(float(values[low])), 1e-9)
        # Ending above where it began: a loss that falls and bounces back a little is only noisy.
        if ratio > self.rise and end > 1.1 * values[0]:
            words = f"the training loss rises from {values[low]:.3g} to {end:.3g}"
            return _sign(Shape.DIVERGED, seen.train.at[low], words, "last over least training loss", ratio, self.rise)
        if seen.learnt is not None and seen.learnt < self.hardly and values.max() > self.blown * seen.chance_loss:
            # Blown up in the first steps and dead ever since: the mean over the first epoch still shows it.
            high = float(values.max())
            words = f"the training loss was {high:.3g}, where knowing nothing costs {seen.chance_loss:.3g}"
            at = seen.train.at[int(values.argmax())]
            return _sign(Shape.DIVERGED, at, words, "highest training loss", high, self.blown * seen.chance_loss)
        return None

    def _plateau(self, seen: _Seen) -> Sign | None:
        loss = seen.train if len(seen.train) >= _FEWEST else seen.validation
        values = loss.array
        if len(values) < _FEWEST:
            return None
        won = float((values[0] - np.median(values[-3:])) / max(abs(values[0]), 1e-9))
        best = seen.best_accuracy
        if seen.learnt is not None:
            stuck = seen.learnt < self.hardly and won < 2 * self.flat
        else:
            stuck = won < self.flat and float(values[0]) > 0.4 * seen.chance_loss
        if not stuck:
            return None
        words = f"the loss goes from {values[0]:.3g} to {values[-1]:.3g}"
        words += "" if best is None else f", and the accuracy never passes {best:.1%}"
        return _sign(Shape.PLATEAU, loss.at[0], words, "share of the first loss that was won", won, self.flat)

    def _noisy(self, seen: _Seen) -> Sign | None:
        for name, series in (("validation", seen.validation), ("training", seen.train)):
            values = series.array
            if len(values) < 8:
                continue
            half = values[len(values) // 2 :]
            steps = np.diff(half)
            turns = float(np.mean(np.sign(steps[1:]) != np.sign(steps[:-1]))) if len(steps) > 1 else 0.0
            size = max(float(np.median(half)), 0.1 * seen.chance_loss)
            rough = float(np.median(np.abs(steps))) / size
            if rough > self.rough and turns > 0.4:
                begun = series.at[len(values) // 2]
                words = f"the {name} loss jumps by {rough:.0%} of itself from one point to the next"
                return _sign(Shape.NOISY, begun, words, "jump between neighbours over the loss", rough, self.rough)
        return None

    def _slow(self, seen: _Seen) -> Sign | None:
        """The loss falls all the time and gets nowhere: the steps are too small."""
        values = seen.train.array
        if len(values) < 8:
            return None
        left = float(values[-1] / max(values[0], 1e-9))
        quarter = len(values) // 4
        first, last = values[0] - values[quarter], values[-1 - quarter] - values[-1]
        steady = last > 0.35 * first > 0 and float(np.mean(np.diff(values) < 0)) >= self.steady
        if left < self.slow or not steady or values[0] - values[-1] < 0.002 * values[0]:
            return None
        words = f"the training loss is still {left:.0%} of the first, and falls as slowly at the end as at the start"
        return _sign(Shape.SLOW, seen.train.at[0], words, "last over first training loss", left, self.slow)

    def _improving(self, seen: _Seen) -> Sign | None:
        loss = seen.validation if len(seen.validation) >= _FEWEST else seen.train
        values = loss.array
        if len(values) < _FEWEST:
            return None
        fall = _fall(values)
        rise = _rise(seen.accuracy)
        near = values[-1] <= values.min() + 0.1 * (values[0] - values.min())
        if fall <= self.improving or not near or (rise is not None and rise <= self.gaining):
            return None
        words = f"the loss fell by {fall:.0%} in the last third"
        words += "" if rise is None else f", the accuracy rose by {rise:.1%}"
        at = loss.at[len(values) - max(2, len(values) // 3) - 1]
        return _sign(Shape.STILL_IMPROVING, at, words, "fall of the loss in the last third", fall, self.improving)

    def _overfitting(self, seen: _Seen) -> Sign | None:
        losses = seen.validation.array
        if len(losses) >= _FEWEST + 1:
            low = int(losses.argmin())
            end = float(np.median(losses[-3:]))
            rise = (end - losses[low]) / max(abs(losses[low]), 0.02)
            falls = seen.train_at(seen.validation.at[low]) > 1.1 * seen.train_at(seen.validation.at[-1])
            apart = seen.accuracy_gap is None or seen.accuracy_gap > self.gap / 2
            if rise > self.overfit and low < len(losses) - 2 and falls and apart:
                words = f"the validation loss rises from {losses[low]:.3g} to {end:.3g} while the training loss falls"
                at = seen.validation.at[low]
                return _sign(Shape.OVERFITTING, at, words, "rise of the validation loss", rise, self.overfit)
        gap = seen.accuracy_gap
        if gap is not None and gap > self.gap and seen.train_accuracy is not None and seen.train_accuracy > self.known:
            words = f"{seen.train_accuracy:.1%} on training pictures, {gap:.1%} less on others"
            return _sign(Shape.OVERFITTING, seen.parting(self.gap), words, "training less validation accuracy", gap,
                         self.gap)  # fmt: skip
        return None

    def _held_back(self, seen: _Seen) -> Sign | None:
        """The pictures are told apart, and the loss stays far above what that leaves: the answers are kept unsure.

        Fano's inequality (1961): whose answers are as sure as they are right loses at most H(e) + e ln(C - 1) at error e.
        """
        values, right = seen.train.array, seen.train_accuracy
        if len(values) < 8 or right is None or _fall(values) > self.level or self._noisy(seen) is not None:
            return None
        error = min(max(1 - right, 1e-6), 1 - seen.chance)
        entropy = -error * math.log(error) - (1 - error) * math.log(1 - error)
        most = entropy + error * math.log(max(1.0, 1 / seen.chance - 1)) + self.unsure
        loss = float(np.median(values[-3:]))
        if loss <= most or right < 2 * seen.chance:
            return None
        words = f"the training loss levels out at {loss:.3g} with {right:.1%} right, which need not cost more than {most:.2g}"
        return _sign(Shape.HELD_BACK, _levelled(seen.train), words, "training loss", loss, most)

    def _underfitting(self, seen: _Seen) -> Sign | None:
        """The curves have levelled out, and even the training pictures are not fitted."""
        loss = seen.train if len(seen.train) >= _FEWEST else seen.validation
        values = loss.array
        fit = seen.train_accuracy if seen.train_accuracy is not None else seen.last_accuracy
        if len(values) < 8 or fit is None or fit >= self.fitted or _fall(values) > self.level:
            return None
        gap = seen.accuracy_gap
        if gap is not None and gap > self.gap:
            return None
        words = f"the loss has levelled out at {values[-1]:.3g}, with {fit:.1%} right"
        return _sign(
            Shape.UNDERFITTING, _levelled(loss), words, "accuracy where the curves level out", fit, self.fitted
        )


def _sign(shape: Shape, since: float, words: str, statistic: str, value: float, reference: float) -> Sign:
    return Sign(shape=shape, since=since, words=words, statistic=statistic, value=value, reference=reference)


def _fall(values: FloatArray) -> float:
    """How much a loss fell over its last third, as a share of what it was."""
    if len(values) < _FEWEST:
        return 0.0
    third = max(1, len(values) // 3)
    before = float(np.median(values[-third - 1 - min(2, len(values) - third - 1) : len(values) - third]))
    after = float(np.median(values[-max(1, min(3, third)) :]))
    return (before - after) / max(abs(before), 1e-9)


def _rise(series: Series) -> float | None:
    """How much an accuracy rose over its last third; ``None`` where there is none."""
    values = series.array
    if len(values) < _FEWEST:
        return None
    third = max(1, len(values) // 3)
    return float(np.median(values[-max(1, min(3, third)) :]) - np.median(values[-third - 2 : len(values) - third]))


def _levelled(series: Series) -> float:
    """From when on a curve keeps within a tenth of its whole fall of where it ends."""
    values = series.array
    span = float(values.max() - values.min())
    away = np.flatnonzero(np.abs(values - values[-1]) > 0.1 * span)
    return series.at[min(len(values) - 1, int(away[-1]) + 1)] if len(away) else series.at[0]


class _Seen:
    """The curves, condensed, and what follows from them by arithmetic."""

    def __init__(self, curves: Curves, num_classes: int | None) -> None:
        self.train, self.validation = curves.train_loss.condensed(), curves.validation_loss.condensed()
        self._train_accuracy = curves.train_accuracy.condensed()
        self.accuracy = curves.validation_accuracy.condensed()
        self.chance = 1 / num_classes if num_classes else 0.1
        self.chance_loss = math.log(num_classes) if num_classes else math.log(10)

    @property
    def best_accuracy(self) -> float | None:
        every = [*self.accuracy.values, *self._train_accuracy.values]
        return max(every) if every else None

    @property
    def learnt(self) -> float | None:
        """The best accuracy over chance, as a share of what there is to win; ``None`` where no accuracy was logged."""
        best = self.best_accuracy
        return None if best is None else (best - self.chance) / (1 - self.chance)

    @property
    def last_accuracy(self) -> float | None:
        return float(np.median(self.accuracy.values[-3:])) if len(self.accuracy) else None

    @property
    def train_accuracy(self) -> float | None:
        return float(np.median(self._train_accuracy.values[-3:])) if len(self._train_accuracy) else None

    @property
    def accuracy_gap(self) -> float | None:
        if self.train_accuracy is None or self.last_accuracy is None:
            return None
        return self.train_accuracy - self.last_accuracy

    def train_at(self, at: float) -> float:
        """The training loss nearest in time; infinity before the first where none was logged."""
        if not len(self.train):
            return float("inf") if at == self.validation.at[0] else 0.0
        return float(np.interp(at, self.train.at, self.train.values))

    def parting(self, gap: float) -> float:
        """When the training accuracy first left the validation accuracy behind by ``gap``."""
        held = np.interp(self._train_accuracy.at, self.accuracy.at, self.accuracy.values)
        apart = np.flatnonzero(self._train_accuracy.array - held > gap)
        return self._train_accuracy.at[int(apart[0])] if len(apart) else self._train_accuracy.at[-1]
