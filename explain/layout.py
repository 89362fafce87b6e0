"""How a layer's output lies in memory, and how to see the picture's grid in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from explain.errors import AttributionError

Order = Literal["NCHW", "NHWC", "tokens"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Where rows, columns and channels are in a layer's output.

    Attributes:
        order: Channels first, channels last, or a sequence of tokens in row-major order.
        grid: Rows and columns.
        prefix: Class and register tokens before the patches; 0 unless ``order`` is ``tokens``.
    """

    order: Order
    grid: tuple[int, int]
    prefix: int = 0

    def to_grid(self, output: Tensor) -> Tensor:
        """The output as ``(n, channels, rows, columns)``, without prefix tokens.

        Raises:
            AttributionError: The output does not have this layout.
        """
        rows, columns = self.grid
        found: tuple[int, ...] = ()
        if self.order == "tokens" and output.ndim == 3:
            found = (output.shape[1] - self.prefix,)
            if found == (rows * columns,):
                return output[:, self.prefix :].transpose(1, 2).reshape(len(output), -1, rows, columns)
        elif self.order == "NHWC" and output.ndim == 4:
            found = tuple(output.shape[1:3])
            if found == self.grid:
                return output.permute(0, 3, 1, 2)
        elif self.order == "NCHW" and output.ndim == 4:
            found = tuple(output.shape[2:])
            if found == self.grid:
                return output
        raise AttributionError(
            f"The layer's output {tuple(output.shape)} is not {self.order} with a {rows} x {columns} grid.",
            remedy="Leave the layout out, so that it is found by rule, or name another layer.",
        )


def layouts(shape: tuple[int, ...], image: tuple[int, int], declared: Order | None, prefix: int | None) -> list[Layout]:
    """Every layout that an output of ``shape`` may have, the likeliest first.

    Args:
        shape: Of the output, with its batch axis.
        image: Rows and columns of the model's input.
        declared: What the model says of itself (timm's ``output_fmt``).
        prefix: Prefix tokens that the model declares; ``None`` where it says nothing.
    """
    if len(shape) == 3:
        return _token_layouts(shape[1], image, prefix)
    if len(shape) != 4:
        return []
    orders: list[Order] = ["NHWC", "NCHW"] if declared == "NHWC" else ["NCHW", "NHWC"]
    grids = {"NCHW": (shape[2], shape[3]), "NHWC": (shape[1], shape[2])}
    return [Layout(order=order, grid=grids[order]) for order in orders if _is_strided(grids[order], image)]


def _is_strided(grid: tuple[int, int], image: tuple[int, int]) -> bool:
    """Whether ``grid`` is what strided convolutions leave of ``image``, give or take the padding."""
    if min(grid) < 2 or 2 * grid[0] > image[0] + 4 or 2 * grid[1] > image[1] + 4:
        return False
    stride = image[0] / grid[0], image[1] / grid[1]
    near = abs(grid[1] - image[1] / stride[0]) <= 1.5 or abs(grid[0] - image[0] / stride[1]) <= 1.5
    # 224 / 49 is no stride: 49 is a number of tokens. Unpadded convolutions lose some rows, hence the allowance.
    nearest = max(1, round(stride[0]))
    return near and abs(image[0] / nearest - grid[0]) <= max(1.0, 0.06 * grid[0])


def _token_layouts(tokens: int, image: tuple[int, int], prefix: int | None) -> list[Layout]:
    found = []
    for rows in range(min(tokens, image[0]), 1, -1):
        columns = max(1, round(rows * image[1] / image[0]))
        extra = tokens - rows * columns
        if columns < 2 or not 0 <= extra <= 16 or not _is_strided((rows, columns), image):
            continue
        if prefix is None or extra in (prefix, 0):
            found.append(Layout(order="tokens", grid=(rows, columns), prefix=extra))
    return sorted(found, key=lambda layout: (layout.prefix != prefix, layout.prefix))
