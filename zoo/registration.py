"""Whether one small grey picture is a crop of another: found by laying one over the other.

Two copies of a photograph, however cut and encoded, agree pixel for pixel once they lie on top of each other; two
photographs of one thing do not. How much disagreement that leaves room for depends on the picture: a smooth one agrees
well with any other smooth one. So the disagreement is measured in units of what moving the picture by one pixel does to
it: copies stay far below 1, look-alikes lie around it and above, and no threshold has to be tuned to a data set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

SIDE = 32  # pixels of the grey pictures
_LEVELS = ((8, 1.6), (16, 1.0))  # exhaustive searches: pixels, and the mismatch above which a pair is given up
# Windows that are searched exhaustively: the share of the side they keep, and how many offsets along either axis.
_GRID = ((1.0, 1), (0.95, 4), (0.9, 4), (0.83, 5))
_SMALLEST = 0.8  # share of the side that a crop keeps at least
# Rounds of the refinement: the mismatch above which a pair is given up before it, and the step in shares of the side.
_ROUNDS = ((1.2, 0.03), (1.0, 0.03), (1.0, 0.015), (0.5, 0.015), (0.5, 0.0075), (0.5, 0.0075))
_MOVES = ((1, -0.5, -0.5), (-1, 0.5, 0.5), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))


@dataclass(frozen=True, kw_only=True)
class _Window:
    """A part of a picture for each of ``m`` pairs: the share of the side kept, and where it starts, in such shares."""

    scale: FloatArray
    top: FloatArray
    left: FloatArray

    def at(self, chosen: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> _Window:
        return _Window(scale=self.scale[chosen], top=self.top[chosen], left=self.left[chosen])


def mismatch(first: FloatArray, second: FloatArray) -> FloatArray:
    """What is left different when one picture of each pair is laid over the other as well as it fits, ``(m,)``.

    In units of the difference that a shift by one pixel makes: 0 for equal pixels, under about 0.2 for copies, mostly
    over 0.5 for look-alikes, whose fit is not followed to its best; infinite where a coarse look shows that the two do
    not fit. Flips and turns are not tried.

    Args:
        first: Grey pictures, ``(m, 32, 32)``.
        second: Likewise.
    """
    left = np.full(len(first), np.inf, dtype=np.float32)
    unit: FloatArray = np.asarray((_shift_difference(first) + _shift_difference(second)) / 2 + 1e-4, dtype=np.float32)
    alive = np.arange(len(first))
    for side, hopeless in _LEVELS:
        one, other = _shrunk(first[alive], side), _shrunk(second[alive], side)
        forward, backward = _coarse(one, other), _coarse(other, one)
        close = 1 - np.maximum(forward[0], backward[0]) <= hopeless * unit[alive]
        alive, ahead = alive[close], (forward[0] >= backward[0])[close]
        hypothesis = np.where(ahead, forward[1][close], backward[1][close])
    if not len(alive):
        return left
    scale, top, side_offset = _hypotheses()[hypothesis].T
    flip = ~ahead[:, None, None]
    whole, part = np.where(flip, second[alive], first[alive]), np.where(flip, first[alive], second[alive])
    window = _Window(scale=scale, top=top, left=side_offset)
    left[alive] = _refined(_centred(whole), _centred(part), window, unit[alive])
    return left


def turned(pictures: FloatArray) -> Iterator[FloatArray]:
    """The pictures ``(m, side, side)`` under the eight flips and quarter turns, as they are first."""
    for mirrored in (pictures, pictures[:, :, ::-1]):
        for quarter in range(4):
            yield np.rot90(mirrored, quarter, axes=(1, 2))


@cache
def _hypotheses() -> FloatArray:
    """The windows of the coarse search: scale, top, left; ``(58, 3)``."""
    found = [(scale, top, left) for scale, k in _GRID for top in _offsets(scale, k) for left in _offsets(scale, k)]
    return np.array(found, dtype=np.float32)


def _offsets(scale: float, count: int) -> list[float]:
    offsets: list[float] = np.linspace(0, 1 - scale, count).tolist()
    return offsets


@cache
def _axes(side: int) -> tuple[FloatArray, ...]:
    """Of each scale, the maps of one axis of ``side`` pixels to its windows, ``(offsets, side, side)``."""
    return tuple(np.stack([_resampling(side, scale, offset) for offset in _offsets(scale, k)]) for scale, k in _GRID)


def _resampling(side: int, scale: float, offset: float) -> FloatArray:
    """The matrix ``(side, side)`` that resamples one axis to the window: four samples a pixel, linear between them."""
    matrix = np.zeros((side, side), dtype=np.float32)
    for row in range(side):
        for sample in range(4):
            position = (offset + (row + (sample + 0.5) / 4) / side * scale) * side - 0.5
            position = min(max(position, 0.0), side - 1.001)
            column = int(position)
            matrix[row, column] += (1 - position + column) / 4
            matrix[row, column + 1] += (position - column) / 4
    return matrix


def _coarse(whole: FloatArray, part: FloatArray) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    """Correlation of centred pictures with the best of 58 windows, ``(m,)``, and which one it is, ``(m,)``.

    A window is a map of the rows after one of the columns, so that no window need be made: its product with the other
    picture is that of the mapped columns with what the rows' map, turned about, makes of the other picture, and its norm
    is a form of the Gram matrix of the mapped columns.
    """
    m, side, _ = whole.shape
    cells = side**2
    found = []
    for axis in _axes(side):
        k = len(axis)
        down = np.tensordot(whole, axis, (1, 2)).transpose(0, 2, 1, 3).reshape(m, k, side, side)  # offset, x, y
        back = np.tensordot(part, axis, (2, 1)).transpose(0, 3, 1, 2).reshape(m, cells, k)  # (x, y), offset
        gram = np.matmul(down, down.swapaxes(2, 3)).reshape(m * k, cells)
        square = (gram @ np.matmul(axis.swapaxes(1, 2), axis).reshape(k, cells).T).reshape(m, k, k) / cells
        mean = np.tensordot(np.tensordot(whole, axis.sum(axis=1), (1, 1)), axis.sum(axis=1), (1, 1)) / cells
        spread = np.sqrt(np.maximum(square - mean**2, 0)) + 1e-3
        found.append((np.matmul(down.reshape(m, k, cells), back) / cells / spread).reshape(m, k * k))
    every = np.concatenate(found, axis=1) / (np.sqrt((part**2).mean(axis=(1, 2))) + 1e-3)[:, None]
    return every.max(axis=1), every.argmax(axis=1)


def _shrunk(pictures: FloatArray, side: int) -> FloatArray:
    """The pictures at ``side`` pixels, centred, ``(m, side, side)``."""
    step = SIDE // side
    rows = pictures.reshape(-1, side, step, SIDE).transpose(2, 0, 1, 3).sum(axis=0)
    small: FloatArray = rows.reshape(-1, side, side, step).transpose(3, 0, 1, 2).sum(axis=0) / step**2
    return _centred(small)


def _refined(whole: FloatArray, part: FloatArray, window: _Window, unit: FloatArray) -> FloatArray:
    """Move the windows to where they fit best, step by step, each pair on its own; the mismatch there, ``(m,)``.

    Args:
        whole: Centred pictures, ``(m, 32, 32)``.
        part: Likewise.
        window: Where to begin, ``m`` of them.
        unit: What a shift by one pixel makes, ``(m,)``.
    """
    deviation = np.sqrt(np.einsum("mij,mij->m", part, part)) / SIDE
    wanted: FloatArray = np.asarray(part / np.maximum(deviation, 1e-3)[:, None, None], dtype=np.float32)
    best: FloatArray = _agreement(whole, wanted, window)
    alive = np.arange(len(whole))
    for hopeless, step in _ROUNDS:
        going = 1 - best[alive] <= hopeless * unit[alive]
        alive, window, whole, wanted = alive[going], window.at(going), whole[going], wanted[going]
        for move in _MOVES:
            moved = _moved(window, move, step)
            found = _agreement(whole, wanted, moved)
            better = found > best[alive]
            best[alive] = np.where(better, found, best[alive])
            window = _Window(
                scale=np.where(better, moved.scale, window.scale),
                top=np.where(better, moved.top, window.top),
                left=np.where(better, moved.left, window.left),
            )
    left: FloatArray = np.asarray((1 - best) / unit, dtype=np.float32)
    return left


def _moved(window: _Window, move: tuple[float, float, float], step: float) -> _Window:
    scale = np.clip(window.scale + move[0] * step, _SMALLEST, 1)
    top = np.clip(window.top + move[1] * step, 0, 1 - scale)
    return _Window(scale=scale, top=top, left=np.clip(window.left + move[2] * step, 0, 1 - scale))


def _agreement(whole: FloatArray, wanted: FloatArray, window: _Window) -> FloatArray:
    """Correlation of the windows of ``whole`` with pictures of zero mean and unit variance, ``(m,)``."""
    cut = _cut(whole, window).reshape(-1, SIDE**2)
    mean, square = cut.mean(axis=1), np.einsum("mi,mi->m", cut, cut) / SIDE**2
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    found: FloatArray = np.einsum("mi,mi->m", cut, wanted.reshape(-1, SIDE**2)) / SIDE**2 / np.maximum(spread, 1e-3)
    return found


def _cut(pictures: FloatArray, window: _Window) -> FloatArray:
    """Each picture's window, resampled to 32 pixels by linear interpolation, ``(m, 32, 32)``."""
    down, across = (_interpolation(offset, window.scale) for offset in (window.top, window.left))
    cut: FloatArray = np.matmul(np.matmul(down, pictures), across.swapaxes(1, 2))
    return cut


def _interpolation(offset: FloatArray, scale: FloatArray) -> FloatArray:
    """The maps of one axis to a window, linear between pixels, ``(m, 32, 32)``."""
    pixels = np.arange(SIDE, dtype=np.float32)
    position = np.clip((offset[:, None] + (pixels + 0.5) / SIDE * scale[:, None]) * SIDE - 0.5, 0, SIDE - 1)
    share: FloatArray = np.maximum(1 - np.abs(position[:, :, None] - pixels), 0)
    return share


def _centred(pictures: FloatArray) -> FloatArray:
    return np.asarray(pictures - pictures.mean(axis=(1, 2), keepdims=True), dtype=np.float32)


def _shift_difference(pictures: FloatArray) -> FloatArray:
    """How far a picture's correlation with itself, shifted by one pixel, falls short of 1, ``(m,)``."""
    down = _correlation(pictures[:, 1:], pictures[:, :-1])
    across = _correlation(pictures[:, :, 1:], pictures[:, :, :-1])
    return np.asarray(1 - (across + down) / 2, dtype=np.float32)


def _correlation(first: FloatArray, second: FloatArray) -> FloatArray:
    """Of each pair of pictures, ``(m,)``; 0 where one is flat."""
    one, other = _centred(first), _centred(second)
    square = np.einsum("mij,mij->m", one, one) * np.einsum("mij,mij->m", other, other)
    return np.asarray(np.einsum("mij,mij->m", one, other) / np.sqrt(np.maximum(square, (1e-3 * SIDE) ** 4)))
