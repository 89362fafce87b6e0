"""``method="auto"``: candidates are measured on the images at hand, and the best one is kept with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from explain.attribution import Attribution
from explain.faithfulness import Meter
from explain.null import NULL_MAPS, Null, matched_null
from explain.race import ROUNDS, Calibration, Race, Trial
from explain.sanity import Gate, sanity_gate
from explain.structure import Family
from zoo.progress import ProgressCallback, silent

#: Images that a method's null and its gain are measured on, and those that the gate asks.
JUDGED, _ASKED = 16, 8
#: Passes that a map takes, about: for the progress only.
_MAP = 10

#: What is tried, cheapest first.
CANDIDATES: dict[Family, tuple[str, ...]] = {
    "cnn": ("hirescam", "hirescam-1", "marginal-cam", "integrated-gradients"),
    "vit": ("legrad", "gae", "hirescam", "marginal-cam", "integrated-gradients"),
    "hierarchical": ("hirescam", "hirescam-1", "marginal-cam", "integrated-gradients"),
    "unknown": ("integrated-gradients",),
}
#: What is tried where those fail; it fits every model, and costs as much as all of them.
RESERVE = ("occlusion",)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The method to use on a model, and what speaks for it.

    Attributes:
        method: Its name.
        trials: All candidates that were measured; empty where a person named the method.
        null: What maps without knowledge score.
        gate: The sanity gate of the method.
        images: How many calibration images it is judged on.
    """

    method: str
    trials: tuple[Trial, ...]
    null: Null
    gate: Gate
    images: int


def choose(
    model: nn.Module,
    calibration: Calibration,
    *,
    candidates: Sequence[str] = (),
    most_passes: float = 60.0,
    progress: ProgressCallback = silent,
) -> Choice:
    """The candidate with the best mean gain, within a cost cap.

    All are measured on the first four images, after every second deletion only; those that are not
    clearly behind go on to 8, 16 and 32. See ``explain.race``.

    Args:
        model: The classifier; it is left as it came.
        calibration: The race is over after 32 images; null maps are spread over as many as there are maps.
        candidates: Names of methods; by default those for the model's family, and occlusion where none of them clearly
            knows anything.
        most_passes: Cost cap, in forward passes a map; a candidate that takes more is left out.
        progress: Told how far it is, in passes of the expected number.

    Raises:
        AttributionError: No candidate gives a map.
    """
    names = list(candidates or CANDIDATES[calibration.structure.family])
    reserve = () if candidates else RESERVE
    work = _Judging(model, calibration, progress, candidates=len(names))
    race = Race(model, calibration, work.meter, most_passes)
    best = race.run(names, reserve, work.narrowed)
    return work.judged(best, race.made[best], race.shares[best], tuple(race.trials.values()))


def named(model: nn.Module, calibration: Calibration, method: str, *, progress: ProgressCallback = silent) -> Choice:
    """The same record for a method that a person named; a fallback is judged under its own name."""
    made = calibration.more_maps(model, method, None, min(JUDGED, len(calibration.inputs)))
    return _Judging(model, calibration, progress, candidates=0).judged(made.method, made, (), ())


class _Judging:
    """The null and the gate of a method, and how far the whole work is."""

    def __init__(
        self, model: nn.Module, calibration: Calibration, progress: ProgressCallback, *, candidates: int
    ) -> None:
        self._model, self._calibration, self._progress = model, calibration, progress
        self._judged = min(JUDGED, len(calibration.inputs))
        self._coarse = 2 * len(calibration.how.halved.cuts)  # passes of a map
        self._last = self._coarse * (NULL_MAPS + self._judged) + 2 * _ASKED * _MAP
        self._done, self._due = 0, self._last
        if candidates:
            self._due += candidates * ROUNDS[0] * self._coarse
        self.meter = Meter(model, calibration.inputs, calibration.weights, passes=self._due, tell=self._tell)

    def narrowed(self, images: int, candidates: int) -> None:
        """What is still to be done where so many candidates go on: one more round at least while there are several."""
        if candidates > 1:
            self._due = max(self._due, self._done + self._last + images * candidates * self._coarse // 2)

    def _tell(self, passes: int) -> None:
        self._done += passes
        self._progress("choosing a method", min(self._done, self._due), self._due)

    def judged(self, method: str, made: Attribution, shares: Sequence[float], trials: tuple[Trial, ...]) -> Choice:
        """The method's record.

        Args:
            method: Its name.
            made: Its maps of the first images.
            shares: What they gained where the race has measured it, as shares of their spans.
            trials: The race.
        """
        model, calibration, seed = self._model, self._calibration, self._calibration.seed
        self._due = self._done + self._last
        made = calibration.more_maps(model, method, made, self._judged)
        maps = made.maps[: self._judged]
        known = np.array(shares[: self._judged])
        rest = torch.arange(len(known), len(maps))
        more = self.meter.gain(maps[rest], calibration.how.halved, rest).share
        null = matched_null(self.meter, maps, calibration.how, seed=seed)
        few = slice(0, _ASKED)

        def make(other: nn.Module, some: Tensor, targets: Tensor) -> Attribution:
            found = calibration.maps(other, some, targets, method)
            self._tell(_MAP * len(some))
            return found

        inputs, weights, first = calibration.inputs[few], calibration.weights[few], replace(made, maps=maps[few])
        gate = sanity_gate(
            model, inputs, weights, make, first=first, shares=np.append(known, more), null=null, seed=seed
        )
        self._progress("choosing a method", self._due, self._due)
        return Choice(method=method, trials=trials, null=null, gate=gate, images=len(maps))
