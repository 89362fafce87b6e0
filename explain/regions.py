"""Places where a class should not be decided: corners, edges, the rim, the background; and how to redraw them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

#: Sides of a corner and depth of an edge, as shares of the picture's sides.
CORNER, EDGE, RIM = 0.25, 0.15, 0.08


def standard_regions(rows: int, columns: int) -> dict[str, Tensor]:
    """Masks ``(rows, columns)``, bool, of four corners, the middles of four edges, and the rim."""
    high, wide = max(1, round(rows * CORNER)), max(1, round(columns * CORNER))
    deep, thick = max(1, round(rows * EDGE)), max(1, round(columns * EDGE))
    windows = {
        "top left corner": (slice(0, high), slice(0, wide)),
        "top right corner": (slice(0, high), slice(columns - wide, columns)),
        "bottom left corner": (slice(rows - high, rows), slice(0, wide)),
        "bottom right corner": (slice(rows - high, rows), slice(columns - wide, columns)),
        "top edge": (slice(0, deep), slice(wide, columns - wide)),
        "bottom edge": (slice(rows - deep, rows), slice(wide, columns - wide)),
        "left edge": (slice(high, rows - high), slice(0, thick)),
        "right edge": (slice(high, rows - high), slice(columns - thick, columns)),
    }
    regions = {}
    for name, window in windows.items():
        regions[name] = torch.zeros(rows, columns, dtype=torch.bool)
        regions[name][window] = True
    regions["rim"] = rim(rows, columns)
    return regions


def rim(rows: int, columns: int) -> Tensor:
    """Mask of the outermost 8 %, at least one pixel."""
    mask = torch.ones(rows, columns, dtype=torch.bool)
    high, wide = max(1, round(rows * RIM)), max(1, round(columns * RIM))
    mask[high : rows - high, wide : columns - wide] = False
    return mask


def random_regions(region: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Masks of the same shape as ``region``, moved (and wrapped around) at random, ``(count, rows, columns)``.

    A moved region has the same area, and as long an outline; it may fall on the object, which makes it the stricter
    control. A region that surrounds the picture can only be moved by half a side or so: the rim becomes a cross.
    """
    rows, columns = region.shape
    down = torch.randint(rows // 4, rows - rows // 4 + 1, (count,), generator=generator)
    right = torch.randint(columns // 4, columns - columns // 4 + 1, (count,), generator=generator)
    moved = [region.roll((int(d), int(r)), (0, 1)) for d, r in zip(down, right, strict=True)]
    return torch.stack(moved)


def erase(inputs: Tensor, masks: Tensor) -> Tensor:
    """``inputs`` with the mean colour of each image inside its mask (``(rows, columns)`` or one for each image)."""
    fill = inputs.mean((2, 3), keepdim=True)
    return torch.where(masks.to(inputs.device).expand(len(inputs), *inputs.shape[2:])[:, None], fill, inputs)


def paste(inputs: Tensor, donors: Tensor, mask: Tensor) -> Tensor:
    """``inputs`` with the same place of ``donors`` inside ``mask``."""
    return torch.where(mask.to(inputs.device), donors, inputs)


@dataclass(frozen=True, kw_only=True)
class Backgrounds:
    """Plain backgrounds, found by their colour.

    Attributes:
        masks: Pixels that look like the picture's rim, ``(n, rows, columns)``.
        colours: Median colour of each rim, in normalised units, ``(n, channels)``.
        plain: Images whose rim is mostly of that colour, ``(n,)``; only these can be recoloured.
    """

    masks: Tensor
    colours: Tensor
    plain: Tensor


def backgrounds(inputs: Tensor, *, tolerance: float = 0.35) -> Backgrounds:
    """Pixels within ``tolerance`` (normalised units, root mean square over channels) of the rim's median colour."""
    outer = rim(inputs.shape[2], inputs.shape[3]).to(inputs.device)
    colours = inputs[:, :, outer].median(2).values
    distance = (inputs - colours[:, :, None, None]).square().mean(1).sqrt()
    masks = distance < tolerance
    plain = masks[:, outer].float().mean(1) > 0.6
    return Backgrounds(masks=masks, colours=colours, plain=plain)


def recolour(inputs: Tensor, found: Backgrounds, which: Tensor, colours: Tensor) -> Tensor:
    """Shift the background of ``inputs`` to other colours; its texture stays.

    Args:
        inputs: ``(n, channels, rows, columns)``.
        found: Backgrounds of a larger set of images.
        which: Place of each input in that set, ``(n,)``.
        colours: New colours ``(n, channels)``.
    """
    shift = (colours - found.colours[which])[:, :, None, None]
    return torch.where(found.masks[which][:, None], inputs + shift, inputs)
