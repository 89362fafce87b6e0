"""How much a heatmap knows: symmetric relevance gain.

Blücher, Vielhaben & Strodthoff, "Decoupling pixel flipping and occlusion strategy for consistent XAI benchmarks",
TMLR 2024, arXiv:2401.06654.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from explain.attribution import Scorer
from explain.batches import spread
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
        half: ``share`` from every second step, as null maps are measured (``Deletion.halved``), ``(n,)``.
    """

    value: FloatArray
    span: FloatArray
    blank: npt.NDArray[np.bool_]
    half: FloatArray

    @property
    def share(self) -> FloatArray:
        """Gains as shares of their spans, ``(n,)``, in [-1, 1]."""
        return _shares(self.value, self.span)


def _shares(value: FloatArray, span: FloatArray) -> FloatArray:
    return np.asarray(value / np.maximum(span, 1e-12))


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """How patches are deleted.

    Attributes:
        patches: Patches along the longer side.
        steps: Deletion steps; a map costs ``2 * steps`` passes, ends included.
        middles: Score after every second step only, the first one first: the middles of half as many.
        batch: Pictures a pass; halved when memory runs out.
    """

    patches: int = 14
    steps: int = 10
    middles: bool = False
    batch: int = 64

    @property
    def halved(self) -> Deletion:
        """Half the passes, by the midpoint rule; its gains lie as near the truth. An odd number of steps stays."""
        return self if self.steps % 2 else replace(self, middles=True)

    @property
    def cuts(self) -> tuple[int, ...]:
        """The steps that are scored, the ends aside."""
        return tuple(range(1, self.steps, 2 if self.middles else 1))

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
    return Meter(model, inputs, weights, passes=2 * how.steps * len(inputs)).gain(maps, how)


class Meter:
    """Measures maps of the same images; what they share, the model made quick and the ends of the curves, is done once.

    Args:
        model: The classifier; it is left as it came.
        inputs: Normalised images ``(n, channels, rows, columns)``.
        weights: What the maps explain, ``(n, classes)``.
        passes: How many pictures are going to be run, about.
        tell: Told how many have been, now and then.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Tensor,
        weights: Tensor,
        *,
        passes: int,
        tell: Callable[[int], None] = lambda _: None,
    ) -> None:
        with isolated(model), torch.no_grad():
            self._model = _quick(model, inputs, passes)
        if self._model is not model:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        self._inputs, self._weights = inputs, weights.to(inputs.device)
        self._fill = inputs.mean((2, 3), keepdim=True)
        self._ends = np.full((len(inputs), 2), np.nan)
        self._tell = tell

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self._inputs)

    def gain(self, maps: Tensor, how: Deletion, which: Tensor | None = None) -> Gain:
        """Gains of maps ``(m, rows, columns)``.

        Args:
            maps: Signed relevance.
            how: Patches and steps.
            which: The image of each map, ``(m,)``; by default each image has one.
        """
        which = torch.arange(len(maps)) if which is None else which
        rows, columns = how.grid(self._inputs.shape[2], self._inputs.shape[3])
        relevance = nn.functional.adaptive_avg_pool2d(maps.double()[:, None], (rows, columns)).flatten(1)
        # A patch's place in the order, 0 = least important. Stable: the same map gives the same order.
        place = relevance.argsort(dim=1, stable=True).argsort(dim=1).view(-1, rows, columns)
        span = relevance.amax(1) - relevance.amin(1)
        blank = (span <= 1e-9 * relevance.abs().amax(1).clamp_min(1e-300)) | ~torch.isfinite(span)
        with isolated(self._model), torch.no_grad():
            ends, inner = self._both_ends(which, how), self._inside(which, place, how)
        curves = inner.reshape(len(inner), 2, len(how.cuts))  # least, most important first
        value, moved, nothing = _area(ends, curves, how)
        few = how.halved
        value_by_few, span_by_few, _ = _area(ends, curves[:, :, [how.cuts.index(cut) for cut in few.cuts]], few)
        nothing |= blank.numpy()
        half = np.where(nothing, 0.0, _shares(value_by_few, span_by_few))
        return Gain(value=np.where(nothing, 0.0, value), span=moved, blank=nothing, half=half)

    def _both_ends(self, which: Tensor, how: Deletion) -> FloatArray:
        """Scores of the whole and of the filled image, ``(m, 2)``."""
        missing = np.flatnonzero(np.isnan(self._ends[:, 0]))
        missing = missing[np.isin(missing, which.numpy())]
        index = torch.from_numpy(missing).repeat_interleave(2)
        filled = torch.tensor([False, True]).repeat(len(missing)).view(-1, 1, 1)
        self._ends[missing] = self._scores(index, filled, how).reshape(-1, 2)
        return np.asarray(self._ends[which.numpy()])

    def _inside(self, which: Tensor, place: Tensor, how: Deletion) -> FloatArray:
        """Scores ``(m, 2 cuts)``: deleted least important first, then most important first."""
        patches = place[0].numel() if len(place) else 0
        cuts = [round(patches * step / how.steps) for step in how.cuts]
        masks = [*(place < c for c in cuts), *(place >= patches - c for c in cuts)]
        if not masks:
            return np.zeros((len(which), 0))
        deleted = torch.stack(masks, 1).flatten(0, 1)
        return self._scores(which.repeat_interleave(len(masks)), deleted, how).reshape(len(which), len(masks))

    def _scores(self, which: Tensor, deleted: Tensor, how: Deletion) -> FloatArray:
        """Scores ``(k,)`` of images from which the patches of a grid were deleted, ``(k, rows, columns)``."""
        device, size = self._inputs.device, (self._inputs.shape[2], self._inputs.shape[3])
        scorer = Scorer(self._model)

        def part(start: int, stop: int) -> Tensor:
            image, grid = which[start:stop].to(device), deleted[start:stop].to(device)
            mask = nn.functional.interpolate(grid[:, None].float(), size=size) > 0.5
            pictures = torch.where(mask, self._fill[image], self._inputs[image])
            found: Tensor = scorer(pictures, self._weights[image])
            return found.float().cpu()

        scores = spread(part, len(which), model=self._model, inputs=self._inputs, most=how.batch, tell=self._tell)
        return np.asarray(torch.cat(scores).double().numpy()) if scores else np.zeros(0)


def _area(ends: FloatArray, curves: FloatArray, how: Deletion) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
    """Area between two curves, range of all scores met, and whether that is rounding only, ``(n,)`` each.

    Args:
        ends: Scores of the whole and of the filled image, ``(n, 2)``.
        curves: Scores between them, ``(n, 2, cuts)``.
        how: Where they were taken.
    """
    met = np.concatenate([ends, curves[:, 0], curves[:, 1]], axis=1)
    span = np.ptp(met, axis=1)
    # The trapezoid's ends cancel: both curves start at the image and end at the filled image.
    width = (2 if how.middles else 1) / how.steps
    area = width * (curves[:, 0] - curves[:, 1]).sum(1)
    return area, span, span <= 1e-5 * np.abs(met).max(1)


def _quick(model: nn.Module, inputs: Tensor, passes: int) -> nn.Module:
    """The model with its batch normalisations merged, channels last, where that pays: the same but for rounding."""
    is_plain = inputs.device.type == "cpu" and all(p.dtype == torch.float32 for p in model.parameters())
    if passes < _WORTH_FOLDING or not is_plain or not any(isinstance(m, nn.BatchNorm2d) for m in model.modules()):
        return model
    try:
        merged = folded(model, inputs[:1])
    except ModelError:  # its features are no vector
        return model
    # A convolution of the processor's library wants its channels last: Lite0 takes 20 ms an image instead of 33.
    return model if merged is model else merged.to(memory_format=torch.channels_last)
