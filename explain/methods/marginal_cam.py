"""Marginal CAM: HiResCAM at two resolutions, averaged over pictures from which random patches were deleted.

Our own combination. HiResCAM (Draelos & Carin, arXiv:2011.08891) tells what each cell adds to the score of the whole
picture; what remains when others are gone is another matter, for nets saturate. Averaging each cell's part over random
coalitions of patches is the idea of the Shapley value (Owen's multilinear extension, 1972), with a gradient in place
of a difference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from explain.attribution import METHODS, Attribution, Method, Task
from explain.gradients import gradients_at
from explain.structure import Structure


@dataclass(frozen=True, kw_only=True)
class MarginalCAM(Method):
    """Signed relevance of each place, given random subsets of the others.

    Half of the map comes from the whole picture, half from pictures with 25, 50 and 75 % of their patches turned to the
    mean colour, in pairs of opposite orders; each picture is read at the two deepest resolutions, in equal parts.
    Known problem: about seven times the cost of one CAM.

    Attributes:
        deletions: Pictures with deleted patches, for each image; even.
        patches: Along each side.
    """

    deletions: int = 6
    patches: int = 7

    def obstacle(self, structure: Structure) -> str:
        """Needs a layer with a layout that is known."""
        return "" if structure.sites else "no layer holds a picture"

    def attribute(self, task: Task) -> Attribution:
        """Maps at the input's resolution."""
        whole = _pyramid(task, task.inputs)
        fill = task.inputs.mean((2, 3), keepdim=True)
        sums = [torch.zeros_like(level) for level in whole]
        seen = torch.zeros_like(whole[0])
        for kept in self._subsets(task):
            levels = _pyramid(task, torch.where(kept[:, None], task.inputs, fill))
            for total, level in zip(sums, levels, strict=True):
                total.add_(level * kept)
            seen += kept
        parts = [_unit(level) for level in whole] + [_unit(total / seen.clamp_min(1)) for total in sums]
        size = _size(whole[0])
        # In units of the score again: the parts were brought to one size to be mixed.
        maps = torch.stack(parts).mean(0) * size
        sites = task.structure.sites[:2]
        return Attribution(maps=maps, method="marginal-cam", layer=" + ".join(str(site) for site in sites))

    def _subsets(self, task: Task) -> list[Tensor]:
        """Masks of the pixels that stay, ``(n, rows, columns)``: the same subsets for each image."""
        generator = torch.Generator().manual_seed(task.seed)
        count = self.patches**2
        size = (task.inputs.shape[2], task.inputs.shape[3])
        masks = []
        for pair in range(self.deletions // 2):
            place = torch.rand(count, generator=generator).argsort().argsort()
            stay = round(count * (pair + 1) / (self.deletions // 2 + 1))
            for kept in (place < stay, place >= count - stay):
                grid = kept.view(1, 1, self.patches, self.patches).float()
                mask = nn.functional.interpolate(grid, size=size)[:, 0] > 0.5
                masks.append(mask.expand(len(task.inputs), -1, -1).to(task.inputs.device))
        return masks


def _pyramid(task: Task, inputs: Tensor) -> list[Tensor]:
    """HiResCAM at the deepest resolutions, ``(n, rows, columns)`` each, at the input's size."""
    size = (inputs.shape[2], inputs.shape[3])
    found = gradients_at(replace(task, inputs=inputs), task.structure.sites[:2])
    maps = [(features * gradients).sum(1, keepdim=True) for features, gradients in found]
    return [nn.functional.interpolate(m, size=size, mode="bilinear", align_corners=False)[:, 0] for m in maps]


def _size(maps: Tensor) -> Tensor:
    return maps.abs().mean((1, 2), keepdim=True)


def _unit(maps: Tensor) -> Tensor:
    return maps / _size(maps).clamp_min(1e-12)


METHODS.register("marginal-cam")(MarginalCAM())
