"""Which of several methods knows most: measured on few images first, and on more while that is not clear.

Methods are compared on the same images, so that what makes one image easier than another does not count; one whose lead
is clear ends the race (sequential elimination by paired differences; Maron & Moore, "The racing algorithm", 1997).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from explain.attribution import METHODS, Attribution, attribute
from explain.errors import AttributionError
from explain.faithfulness import Deletion, FloatArray, Meter
from explain.structure import Structure

#: Images after which methods are compared. Where there are fewer, the last round takes all.
ROUNDS = (4, 8, 16, 32)
#: A method goes where it is behind at this level, one-sided.
_LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One candidate, measured.

    Attributes:
        method: The candidate.
        gain: Mean symmetric relevance gain on the images, in units of the score; NaN where it was not measured. In half
            the passes that heatmaps are scored in (``Deletion.halved``).
        error: Standard error of that mean.
        passes: Forward passes that a map took; one whose way back is kept counts as three.
        images: How many calibration images it was measured on.
        note: Why it was left out, where it was.
    """

    method: str
    gain: float
    error: float
    passes: float
    images: int
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The images that a choice is made on.

    Attributes:
        inputs: Normalised images ``(n, channels, rows, columns)``, two at least.
        weights: What is explained of each.
        structure: The model's.
        how: Deletion protocol.
        seed: Of everything random.
    """

    inputs: Tensor
    weights: Tensor
    structure: Structure
    how: Deletion
    seed: int = 0

    def maps(self, model: nn.Module, inputs: Tensor, weights: Tensor, method: str) -> Attribution:
        """Maps by one method with these settings."""
        return attribute(model, inputs, weights, method=method, structure=self.structure, seed=self.seed)

    def more_maps(self, model: nn.Module, method: str, made: Attribution | None, count: int) -> Attribution:
        """Maps of the first ``count`` images, where ``made`` are those of some of them already."""
        start = 0 if made is None else len(made.maps)
        if made is not None and start >= count:
            return made
        fresh = self.maps(model, self.inputs[start:count], self.weights[start:count], method)
        return fresh if made is None else joined(made, fresh)


def joined(first: Attribution, second: Attribution) -> Attribution:
    """Maps of further images added."""
    errors = [m.completeness_error for m in (first, second) if m.completeness_error is not None]
    maps = torch.cat([first.maps, second.maps])
    return replace(first, maps=maps, completeness_error=max(errors) if errors else None)


class Race:
    """Candidates on their way.

    Args:
        model: The classifier; it is left as it came.
        calibration: The images.
        meter: Theirs.
        most_passes: Cost cap, in forward passes a map.

    Attributes:
        made: The maps of each candidate, of the first images.
        shares: What they gained, as shares of their spans.
        trials: What came of each candidate.
    """

    def __init__(self, model: nn.Module, calibration: Calibration, meter: Meter, most_passes: float) -> None:
        self._model, self._calibration, self._meter, self._most = model, calibration, meter, most_passes
        self._how = calibration.how.halved
        self.made: dict[str, Attribution] = {}
        self.shares: dict[str, list[float]] = {}
        self.trials: dict[str, Trial] = {}
        self._values: dict[str, list[float]] = {}
        self._passes: dict[str, int] = {}

    def run(self, names: Sequence[str], reserve: Sequence[str], left: Callable[[int, int], None]) -> str:
        """The winner.

        Args:
            names: Candidates, the cheapest first.
            reserve: Dearer ones, that are measured where in the end none of the others clearly knows anything.
            left: Told after each candidate's round how many images it was measured on, and how many candidates are
                still in.

        Raises:
            AttributionError: None gives a map.
        """
        alive, images = self._narrowed(names, left)
        if not any(self._knows(name) for name in alive):
            alive += self._round(reserve, images, left)
        if not alive:
            raise AttributionError("No method gives a heatmap of this model.", remedy="Name one with --method.")
        return max(alive, key=self._mean)

    def _narrowed(self, names: Sequence[str], left: Callable[[int, int], None]) -> tuple[list[str], int]:
        """Those that no other is clearly ahead of, and how many images they were measured on."""
        alive, count = list(names), min(ROUNDS[-1], len(self._calibration.inputs))
        for stop in [*(r for r in ROUNDS if r < count), count]:
            alive = self._round(alive, stop, left)
            for name in self._behind(alive):
                self.trials[name] = replace(self.trials[name], note=f"clearly behind after {stop} images")
                alive.remove(name)
            if len(alive) <= 1:
                break
        return alive, stop

    def _mean(self, name: str) -> float:
        return float(np.mean(self._values[name]))

    def _knows(self, name: str) -> bool:
        """Whether a candidate's gain lies clearly above 0, by Student's test."""
        return _is_above(np.array(self._values[name]))

    def _round(self, names: Sequence[str], stop: int, left: Callable[[int, int], None]) -> list[str]:
        """Those that fit, measured on the images up to ``stop``."""
        alive = list(names)
        for name in names:
            if not self._measure(name, stop):
                alive.remove(name)
            left(stop, len(alive))
        return alive

    def _measure(self, name: str, stop: int) -> bool:
        """Measure a candidate on the images up to ``stop``; whether it fits, and is within the cost cap."""
        note = METHODS[name].obstacle(self._calibration.structure)
        if not note:
            note = self._make(name, stop)
        start = len(self._values.get(name, ()))
        if not note:
            maps = self.made[name].maps[start:stop]
            gain = self._meter.gain(maps, self._how, torch.arange(start, start + len(maps)))
            self._values[name] = [*self._values.get(name, ()), *gain.value.tolist()]
            self.shares[name] = [*self.shares.get(name, ()), *gain.share.tolist()]
        self.trials[name] = self._trial(name, note)
        return not note

    def _make(self, name: str, stop: int) -> str:
        """Make a candidate's maps, of one image first, to see what it costs; why it is left out, where it is."""
        for count in (1, stop):
            most = self._most * count - self._passes.get(name, 0)
            with counting(self._model, most) as counted:
                made = self._calibration.more_maps(self._model, name, self.made.get(name), count)
            self._passes[name] = self._passes.get(name, 0) + counted.images
            if counted.is_too_many:
                return "dearer than the cost cap"
            if made.fallback:
                return made.fallback
            self.made[name] = made
        return ""

    def _trial(self, name: str, note: str) -> Trial:
        values = np.array(self._values.get(name, ()))
        images = len(self.made[name].maps) if name in self.made else 1
        return Trial(
            method=name,
            gain=float(values.mean()) if len(values) else math.nan,
            error=float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else math.nan,
            passes=self._passes.get(name, 0) / images,
            images=len(values),
            note=note,
        )

    def _behind(self, alive: Sequence[str]) -> list[str]:
        """Those whose gain lies clearly under the best one's, by Student's test of the paired differences."""
        best = max(alive, key=self._mean, default="")
        return [name for name in alive if _is_above(np.subtract(self._values[best], self._values[name]))]


def _is_above(values: FloatArray) -> bool:
    """Whether the mean of ``values`` ``(n,)`` lies clearly above 0, by Student's test; never of fewer than four."""
    from scipy.stats import t as student  # slow to import

    if len(values) < ROUNDS[0]:
        return False
    return bool(values.mean() > student.ppf(_LEVEL, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


@dataclass(kw_only=True)
class Counted:
    """Pictures that went through a model, and whether that was stopped because they were too many."""

    images: int = 0
    is_too_many: bool = False


class _TooMany(Exception):  # noqa: N818 - never leaves this module
    pass


@contextmanager
def counting(model: nn.Module, most: float) -> Iterator[Counted]:
    """Count the images that go through a model, and break off after ``most``.

    Not its seconds: on a busy machine they would decide anew each time. What breaks off is the block inside.
    """
    count = Counted()

    def look(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
        count.images += len(args[0]) * (3 if torch.is_grad_enabled() else 1)
        if count.images > most:
            raise _TooMany

    handle = model.register_forward_pre_hook(look)
    try:
        yield count
    except _TooMany:
        count.is_too_many = True
    finally:
        handle.remove()
