"""How much a heatmap knows: symmetric relevance gain.

Blücher, Vielhaben & Strodthoff, "Decoupling pixel flipping and occlusion strategy for consistent XAI benchmarks",
TMLR 2024, arXiv:2401.06654.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from explain.attribution import Scorer
from explain.batches import images_a_pass, in_batches
from explain.isolation import isolated
from zoo.errors import ModelError
from zoo.folding import folded

#: Passes from which on merging saves more than it takes: a sixth of each, for about seven in all.
_WORTH_FOLDING = 100

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Gain:
    """Symmetric relevance gain of ``n`` maps.

    Attributes:
        value: Area between deleting the least and the most important patches first, in units of the score, ``(n,)``.
        span: Range of the scores met on the way, from lowest to highest, ``(n,)``: images whose scores swing more have
            larger gains, and larger chance gains too.
        blank: Maps that are constant, and rank nothing; images whose score no deletion changes, such as those of one
            colour, where nothing can be measured. Their gain is 0 by definition, ``(n,)``.
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
        curves = _curves(
            _quick(model, inputs, 2 * how.steps * len(inputs)),
            inputs,
            weights,
            place.to(inputs.device).view(-1, rows, columns),
            how,
        )
    least, most = curves[:, 1 : how.steps], curves[:, how.steps : -1]
    # The trapezoid's ends cancel: both curves start at the image and end at the filled image.
    moved = np.ptp(curves, axis=1)
    nothing = blank.numpy() | (moved <= 1e-5 * np.abs(curves).max(1))  # rounding in float32
    value = np.where(nothing, 0.0, (least - most).sum(1) / how.steps)
    return Gain(value=value, span=moved, blank=nothing)


def _quick(model: nn.Module, inputs: Tensor, passes: int) -> nn.Module:
    """The model with its batch normalisations merged, where that pays: the same scores but for rounding."""
    is_plain = inputs.device.type == "cpu" and all(p.dtype == torch.float32 for p in model.parameters())
    if passes < _WORTH_FOLDING or not is_plain or not any(isinstance(m, nn.BatchNorm2d) for m in model.modules()):
        return model
    try:
        return folded(model, inputs[:1])
    except ModelError:  # its features are no vector
        return model


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
