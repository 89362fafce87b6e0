"""How much a heatmap knows: symmetric relevance gain, against heatmaps that share its blur and its love of the centre.

Blücher, Vielhaben & Strodthoff, "Decoupling pixel flipping and occlusion strategy for consistent XAI benchmarks",
TMLR 2024, arXiv:2401.06654.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from explain.attribution import Scorer
from explain.batches import images_a_pass, in_batches
from explain.isolation import isolated

FloatArray = npt.NDArray[np.float64]


class Badge(StrEnum):
    """What a person may believe of one heatmap."""

    FAITHFUL = "faithful"
    WEAK = "weak"
    NO_BETTER_THAN_NULL = "no better than null"
    BLANK = "blank"


#: z-scores from which a map is faithful and weak: one in twenty and one in six null maps get there.
FAITHFUL_Z, WEAK_Z = 1.645, 1.0


@dataclass(frozen=True, kw_only=True)
class Gain:
    """Symmetric relevance gain of ``n`` maps.

    Attributes:
        value: Area between deleting the least and the most important patches first, in units of the score, ``(n,)``.
        span: Range of the scores met on the way, from lowest to highest, ``(n,)``: images whose scores swing more have
            larger gains, and larger chance gains too.
        blank: Maps that are constant: they rank nothing, so their gain is 0 by definition, ``(n,)``.
    """

    value: FloatArray
    span: FloatArray
    blank: npt.NDArray[np.bool_]

    @property
    def share(self) -> FloatArray:
        """Gains as shares of their spans, ``(n,)``, in [-1, 1]."""
        return np.asarray(self.value / np.maximum(self.span, 1e-12))


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """How patches are deleted.

    Attributes:
        patches: Patches along the longer side.
        steps: Deletion steps; a map costs ``2 * steps`` passes, ends included.
        batch: Pictures a pass; halved when memory runs out.
    """

    patches: int = 14
    steps: int = 10
    batch: int = 64

    def grid(self, rows: int, columns: int) -> tuple[int, int]:
        """Rows and columns of patches for an image's size; patches are near square, and never thinner than a pixel."""
        longer = max(rows, columns)
        patches = min(self.patches, longer)
        return max(1, round(rows * patches / longer)), max(1, round(columns * patches / longer))


def relevance_gain(model: nn.Module, inputs: Tensor, weights: Tensor, maps: Tensor, how: Deletion) -> Gain:
    """Delete patches in order of relevance, most and least important first; the area between is the gain.

    A deleted patch takes the image's mean colour. Scores are logits. Exact ends are shared: with ``T`` steps a map
    costs ``2 T`` passes: the image, the filled image, and ``T - 1`` in each direction.

    Args:
        model: The classifier; it is left as it came.
        inputs: Normalised images ``(n, channels, rows, columns)``.
        weights: What the maps explain, ``(n, classes)``.
        maps: Signed relevance ``(n, rows, columns)``.
        how: Patches and steps.
    """
    rows, columns = how.grid(inputs.shape[2], inputs.shape[3])
    relevance = nn.functional.adaptive_avg_pool2d(maps.double()[:, None], (rows, columns)).flatten(1)
    # A patch's place in the order, 0 = least important. Stable: the same map gives the same order.
    place = relevance.argsort(dim=1, stable=True).argsort(dim=1)
    span = relevance.amax(1) - relevance.amin(1)
    blank = (span <= 1e-9 * relevance.abs().amax(1).clamp_min(1e-300)) | ~torch.isfinite(span)
    with isolated(model), torch.no_grad():
        curves = _curves(model, inputs, weights, place.to(inputs.device).view(-1, rows, columns), how)
    least, most = curves[:, 1 : how.steps], curves[:, how.steps : -1]
    # The trapezoid's ends cancel: both curves start at the image and end at the filled image.
    value = np.where(blank.numpy(), 0.0, (least - most).sum(1) / how.steps)
    return Gain(value=value, span=np.ptp(curves, axis=1), blank=blank.numpy())


def _curves(model: nn.Module, inputs: Tensor, weights: Tensor, place: Tensor, how: Deletion) -> FloatArray:
    """Scores ``(n, 2 T)``: whole image; least first, T - 1 steps; most first, T - 1 steps; filled image."""
    patches = place[0].numel()
    cuts = [round(patches * step / how.steps) for step in range(how.steps + 1)]
    masks = [place < 0, *(place < c for c in cuts[1:-1]), *(place >= patches - c for c in cuts[1:-1]), place >= 0]
    deleted = torch.stack(masks, 1)  # (n, 2 T, rows, columns)
    fill = inputs.mean((2, 3), keepdim=True)
    scorer, passes = Scorer(model), deleted.shape[1]

    def part(start: int, stop: int) -> Tensor:
        index = torch.arange(start, stop, device=inputs.device)
        image, step = index // passes, index % passes
        mask = nn.functional.interpolate(deleted[image, step][:, None].float(), size=tuple(inputs.shape[2:])) > 0.5
        found: Tensor = scorer(torch.where(mask, fill[image], inputs[image]), weights.to(inputs.device)[image])
        return found.float().cpu()

    scores = torch.cat(in_batches(part, len(inputs) * passes, images_a_pass(inputs, how.batch)))
    return np.asarray(scores.view(len(inputs), passes).double().numpy())


def centre_gaussian(rows: int, columns: int) -> Tensor:
    """A blob in the middle, standard deviation a quarter of each side: what a photographer's habit alone would give."""
    y = torch.linspace(-1, 1, rows)[:, None] / 0.5
    x = torch.linspace(-1, 1, columns)[None] / 0.5
    return torch.exp(-(y**2 + x**2) / 2)


@dataclass(frozen=True, kw_only=True)
class Null:
    """What maps that know nothing of their image score.

    Attributes:
        shares: Gains of null maps as shares of their spans, ``(m,)``, in [-1, 1].
    """

    shares: FloatArray

    @property
    def mean(self) -> float:
        """Mean share of a null map."""
        return float(self.shares.mean())

    @property
    def deviation(self) -> float:
        """Standard deviation of a null map's share."""
        return float(max(self.shares.std(ddof=1), 1e-9))

    def z(self, gain: Gain) -> FloatArray:
        """How many standard deviations above null maps each map is, ``(n,)``; 0 for a blank map."""
        return np.where(gain.blank, 0.0, (gain.share - self.mean) / self.deviation)


def matched_null(
    model: nn.Module, inputs: Tensor, weights: Tensor, maps: Tensor, how: Deletion, *, seed: int = 0, repeats: int = 2
) -> Null:
    """Score images with heatmaps of *other* images, and with a centred Gaussian.

    Such maps share the blur and the centre bias of the method and the data, but know nothing of the image.

    Args:
        model: The classifier.
        inputs: Calibration images, at least two.
        weights: Their targets.
        maps: Their heatmaps by the method in question.
        how: Patches and steps, the same as for the maps that are to be judged.
        seed: Of the pairing.
        repeats: Other images' maps for each image.
    """
    count = len(inputs)
    shift = np.random.default_rng(seed).permutation(np.arange(1, count))[:repeats]
    gaussian = centre_gaussian(maps.shape[1], maps.shape[2]).expand_as(maps)
    nulls = [*(maps.roll(int(k), 0) for k in shift), gaussian]
    shares = [relevance_gain(model, inputs, weights, null, how).share for null in nulls]
    return Null(shares=np.concatenate(shares))


def badges(gain: Gain, null: Null) -> list[Badge]:
    """The word for each map."""
    found = []
    for z, blank in zip(null.z(gain), gain.blank, strict=True):
        if blank:
            found.append(Badge.BLANK)
        elif z >= FAITHFUL_Z:
            found.append(Badge.FAITHFUL)
        else:
            found.append(Badge.WEAK if z >= WEAK_Z else Badge.NO_BETTER_THAN_NULL)
    return found
