"""``method="auto"``: candidates are measured on the images at hand, and the best one is kept with its evidence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from explain.attribution import METHODS, Attribution, attribute
from explain.errors import AttributionError
from explain.faithfulness import Deletion, Gain, relevance_gain
from explain.null import Null, matched_null
from explain.sanity import Gate, sanity_gate
from explain.structure import Family, Structure
from zoo.progress import ProgressCallback, silent

#: Images that every candidate is measured on.
_FIRST = 8

#: What is tried, cheapest first.
CANDIDATES: dict[Family, tuple[str, ...]] = {
    "cnn": ("hirescam", "hirescam-1", "marginal-cam", "integrated-gradients", "occlusion"),
    "vit": ("legrad", "gae", "hirescam", "marginal-cam", "integrated-gradients", "occlusion"),
    "hierarchical": ("hirescam", "hirescam-1", "marginal-cam", "integrated-gradients", "occlusion"),
    "unknown": ("integrated-gradients", "occlusion"),
}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One candidate, measured.

    Attributes:
        method: The candidate.
        gain: Mean symmetric relevance gain on the images, in units of the score; NaN where it was not measured.
        error: Standard error of that mean.
        passes: Forward passes an image; one whose way back is kept counts as three.
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
class Choice:
    """The method to use on a model, and what speaks for it.

    Attributes:
        method: Its name.
        trials: All candidates that were measured; empty where a person named the method.
        null: What maps without knowledge score.
        gate: The sanity gate of the method.
        images: How many calibration images were used.
    """

    method: str
    trials: tuple[Trial, ...]
    null: Null
    gate: Gate
    images: int


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


def choose(
    model: nn.Module,
    calibration: Calibration,
    *,
    candidates: Sequence[str] = (),
    most_passes: float = 60.0,
    progress: ProgressCallback = silent,
) -> Choice:
    """The candidate with the best mean gain, within a cost cap.

    All are measured on the first eight images; those that are clearly behind there are not measured on the others.

    Args:
        model: The classifier; it is left as it came.
        calibration: At most 32 images are worth their time.
        candidates: Names of methods; by default those for the model's family.
        most_passes: Cost cap, in forward passes an image; a candidate that takes more on two images is left out.
        progress: Told after each candidate.

    Raises:
        AttributionError: No candidate gives a map.
    """
    names = list(candidates or CANDIDATES[calibration.structure.family])
    trials: dict[str, Trial] = {}
    measured: dict[str, Measured] = {}
    for k, name in enumerate(names):
        progress("choosing a method", k, len(names))
        trials[name], found = _try(model, calibration, name, most_passes)
        if found is not None:
            measured[name] = found
    if not measured:
        raise AttributionError("No method gives a heatmap of this model.", remedy="Name one with --method.")
    behind = _clearly_behind(measured)
    for name in behind:
        trials[name] = replace(trials[name], note=f"clearly behind after {_FIRST} images")
    remaining = [name for name in measured if name not in behind]
    for name in remaining if len(calibration.inputs) > _FIRST else ():
        measured[name] = measured[name].joined(_measured(model, calibration, name, slice(_FIRST, None)))
        trials[name] = measured[name].trial(name, trials[name].passes)
    progress("choosing a method", len(names), len(names))
    best = max(remaining, key=lambda name: measured[name].mean)
    return _judged(model, calibration, best, measured[best], tuple(trials.values()))


def named(model: nn.Module, calibration: Calibration, method: str) -> Choice:
    """The same record for a method that a person named; a fallback is judged under its own name."""
    found = _measured(model, calibration, method, slice(None))
    return _judged(model, calibration, found.made.method, found, ())


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Maps of some calibration images, and what they gain."""

    made: Attribution
    gain: Gain

    @property
    def mean(self) -> float:
        """Mean gain."""
        return float(self.gain.value.mean())

    def joined(self, other: Measured) -> Measured:
        """With the maps of further images."""
        errors = [m.made.completeness_error for m in (self, other) if m.made.completeness_error is not None]
        made = replace(
            self.made,
            maps=torch.cat([self.made.maps, other.made.maps]),
            completeness_error=max(errors) if errors else None,
        )
        gains = (self.gain, other.gain)
        gain = Gain(
            value=np.concatenate([g.value for g in gains]),
            span=np.concatenate([g.span for g in gains]),
            blank=np.concatenate([g.blank for g in gains]),
        )
        return Measured(made=made, gain=gain)

    def trial(self, method: str, passes: float) -> Trial:
        """As evidence."""
        values = self.gain.value
        error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
        return Trial(method=method, gain=self.mean, error=error, passes=passes, images=len(values))


def _measured(model: nn.Module, calibration: Calibration, name: str, some: slice) -> Measured:
    inputs, weights = calibration.inputs[some], calibration.weights[some]
    made = calibration.maps(model, inputs, weights, name)
    return Measured(made=made, gain=relevance_gain(model, inputs, weights, made.maps, calibration.how))


def _try(model: nn.Module, calibration: Calibration, name: str, most_passes: float) -> tuple[Trial, Measured | None]:
    """One candidate on the first images; without a measurement where it does not fit, or costs too much."""

    def left_out(note: str, passes: float = 0.0) -> tuple[Trial, None]:
        return Trial(method=name, gain=math.nan, error=math.nan, passes=passes, images=0, note=note), None

    if obstacle := METHODS[name].obstacle(calibration.structure):
        return left_out(obstacle)
    few = slice(0, 2)
    with _counting(model) as count:
        made = calibration.maps(model, calibration.inputs[few], calibration.weights[few], name)
    passes = count.images / len(calibration.inputs[few])
    if made.fallback:
        return left_out(made.fallback, passes)
    if passes > most_passes:
        return left_out("dearer than the cost cap", passes)
    found = _measured(model, calibration, name, slice(0, _FIRST))
    return found.trial(name, passes), found


def _clearly_behind(measured: dict[str, Measured]) -> set[str]:
    """Candidates whose gain lies under the best one's by more than twice the standard error of the difference."""
    best = max(measured, key=lambda name: measured[name].mean)
    behind = set()
    for name, found in measured.items():
        lead = measured[best].gain.value - found.gain.value
        if len(lead) >= _FIRST and lead.mean() > 2 * lead.std(ddof=1) / np.sqrt(len(lead)):
            behind.add(name)
    return behind


def _judged(
    model: nn.Module, calibration: Calibration, method: str, found: Measured, trials: tuple[Trial, ...]
) -> Choice:
    inputs, weights = calibration.inputs, calibration.weights
    null = matched_null(model, inputs, weights, found.made.maps, calibration.how, seed=calibration.seed)
    few = slice(0, 8)

    def make(other: nn.Module, some: Tensor, targets: Tensor) -> Attribution:
        return calibration.maps(other, some, targets, method)

    gate = sanity_gate(model, inputs[few], weights[few], make, gain=found.gain, null=null, seed=calibration.seed)
    return Choice(method=method, trials=trials, null=null, gate=gate, images=len(inputs))


@dataclass(kw_only=True)
class _Count:
    images: int = 0


@contextmanager
def _counting(model: nn.Module) -> Iterator[_Count]:
    """Count the images that go through a model. Not its seconds: on a busy machine they would decide anew each time."""
    count = _Count()

    def look(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
        count.images += len(args[0]) * (3 if torch.is_grad_enabled() else 1)

    handle = model.register_forward_pre_hook(look)
    try:
        yield count
    finally:
        handle.remove()
