"""``method="auto"``: candidates are measured on the images at hand, and the best one is kept with its evidence."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

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
        gain: Mean symmetric relevance gain on the calibration images, in units of the score.
        error: Standard error of that mean.
        seconds: For one image.
        note: Why it was left out, where it was.
    """

    method: str
    gain: float
    error: float
    seconds: float
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

    Args:
        model: The classifier; it is left as it came.
        calibration: At most 32 images are worth their time.
        candidates: Names of methods; by default those for the model's family.
        most_passes: Cost cap, in forward passes an image; a candidate that takes longer on two images is left out.
        progress: Told after each candidate.

    Raises:
        AttributionError: No candidate gives a map.
    """
    names = list(candidates or CANDIDATES[calibration.structure.family])
    forward = _forward_seconds(model, calibration.inputs)
    trials: list[Trial] = []
    found: dict[str, tuple[Attribution, Gain]] = {}
    for k, name in enumerate(names):
        progress("choosing a method", k, len(names))
        trial, *rest = _try(model, calibration, name, most_passes * forward)
        trials.append(trial)
        if rest:
            found[name] = rest[0]
    progress("choosing a method", len(names), len(names))
    if not found:
        raise AttributionError("No method gives a heatmap of this model.", remedy="Name one with --method.")
    best = max(found, key=lambda name: float(found[name][1].value.mean()))
    return _judged(model, calibration, best, *found[best], tuple(trials))


def named(model: nn.Module, calibration: Calibration, method: str) -> Choice:
    """The same record for a method that a person named; a fallback is judged under its own name."""
    made = calibration.maps(model, calibration.inputs, calibration.weights, method)
    gain = relevance_gain(model, calibration.inputs, calibration.weights, made.maps, calibration.how)
    return _judged(model, calibration, made.method, made, gain, ())


def _try(
    model: nn.Module, calibration: Calibration, name: str, most_seconds: float
) -> tuple[Trial, tuple[Attribution, Gain]] | tuple[Trial]:
    obstacle = METHODS[name].obstacle(calibration.structure)
    if obstacle:
        return (Trial(method=name, gain=float("nan"), error=float("nan"), seconds=0.0, note=obstacle),)
    few = slice(0, 2)
    start = time.perf_counter()
    made = calibration.maps(model, calibration.inputs[few], calibration.weights[few], name)
    seconds = (time.perf_counter() - start) / len(calibration.inputs[few])
    skipped = made.fallback or ("dearer than the cost cap" if seconds > most_seconds else "")
    if skipped:
        return (Trial(method=name, gain=float("nan"), error=float("nan"), seconds=seconds, note=skipped),)
    start = time.perf_counter()
    made = calibration.maps(model, calibration.inputs, calibration.weights, name)
    seconds = (time.perf_counter() - start) / len(calibration.inputs)
    gain = relevance_gain(model, calibration.inputs, calibration.weights, made.maps, calibration.how)
    error = float(gain.value.std(ddof=1) / np.sqrt(len(gain.value)))
    trial = Trial(method=name, gain=float(gain.value.mean()), error=error, seconds=seconds)
    return trial, (made, gain)


def _judged(
    model: nn.Module, calibration: Calibration, method: str, made: Attribution, gain: Gain, trials: tuple[Trial, ...]
) -> Choice:
    inputs, weights = calibration.inputs, calibration.weights
    null = matched_null(model, inputs, weights, made.maps, calibration.how, seed=calibration.seed)
    few = slice(0, 8)

    def make(other: nn.Module, some: Tensor, targets: Tensor) -> Attribution:
        return calibration.maps(other, some, targets, method)

    gate = sanity_gate(model, inputs[few], weights[few], make, gain=gain, null=null, seed=calibration.seed)
    return Choice(method=method, trials=trials, null=null, gate=gate, images=len(inputs))


def _forward_seconds(model: nn.Module, inputs: Tensor) -> float:
    """Seconds of one image in a batched pass."""
    few = inputs[:8]
    with torch.no_grad():
        start = time.perf_counter()
        model(few)
        return (time.perf_counter() - start) / len(few)
