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
_LEVELS = ((8, 0.8), (16, 0.87))  # exhaustive searches: pixels, and the agreement under which a pair is given up
_SMALLEST = 0.8  # share of the side that a crop keeps at least
_STEPS = (0.03, 0.03, 0.015, 0.015, 0.0075, 0.0075)  # of the refinement, in shares of the side
_MOVES = ((1, -0.5, -0.5), (-1, 0.5, 0.5), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))
_HOPELESS = 1.5  # mismatch after two rounds at which refining stops


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
    over 0.5 for look-alikes, infinite where the two do not fit at all. Flips and turns are not tried.

    Args:
        first: Grey pictures, ``(m, 32, 32)``.
        second: Likewise.
    """
    left = np.full(len(first), np.inf, dtype=np.float32)
    alive = np.arange(len(first))
    for side, enough in _LEVELS:
        forward, backward = _coarse(first[alive], second[alive], side), _coarse(second[alive], first[alive], side)
        close = np.maximum(forward[0], backward[0]) >= enough
        alive, ahead = alive[close], (forward[0] >= backward[0])[close]
        hypothesis = np.where(ahead, forward[1][close], backward[1][close])
    if not len(alive):
        return left
    scale, top, side_offset = _hypotheses()[hypothesis].T
    flip = ~ahead[:, None, None]
    whole, part = np.where(flip, second[alive], first[alive]), np.where(flip, first[alive], second[alive])
    left[alive] = _refined(whole, part, _Window(scale=scale, top=top, left=side_offset))
    return left


def turned(pictures: FloatArray) -> Iterator[FloatArray]:
    """The pictures ``(m, side, side)`` under the eight flips and quarter turns, as they are first."""
    for mirrored in (pictures, pictures[:, :, ::-1]):
        for quarter in range(4):
            yield np.rot90(mirrored, quarter, axes=(1, 2))


@cache
def _hypotheses() -> FloatArray:
    """The windows of the coarse search: scale, top, left; ``(49, 3)``."""
    found = [(1.0, 0.0, 0.0)]
    for scale in (0.95, 0.9, 0.85):
        offsets = np.linspace(0, 1 - scale, 4)
        found += [(scale, float(top), float(left)) for top in offsets for left in offsets]
    return np.array(found, dtype=np.float32)


@cache
def _windows(side: int) -> FloatArray:
    """The linear map from a picture of ``side`` pixels to all its windows, ``(side**2, 49 * side**2)``."""
    maps = [np.kron(_resampling(side, s, top), _resampling(side, s, left)).T for s, top, left in _hypotheses().tolist()]
    return np.concatenate(maps, axis=1)


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


def _coarse(whole: FloatArray, part: FloatArray, side: int) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    """Correlation with the best of 49 windows at ``side`` pixels, ``(m,)``, and which one it is, ``(m,)``."""
    cells, block = side**2, SIDE // side
    small, wanted = (
        pictures.reshape(-1, side, block, side, block).mean(axis=(2, 4)).reshape(-1, cells)
        for pictures in (whole, part)
    )
    windows = (small @ _windows(side)).reshape(len(whole), len(_hypotheses()), cells)
    wanted = wanted - wanted.mean(axis=1, keepdims=True)
    mean = windows.mean(axis=2)
    spread = np.sqrt(np.maximum(np.einsum("mhc,mhc->mh", windows, windows) / cells - mean**2, 0)) + 1e-3
    scale = np.sqrt((wanted**2).mean(axis=1)) + 1e-3
    found = np.matmul(windows, wanted[:, :, None])[:, :, 0] / cells / spread / scale[:, None]
    return found.max(axis=1), found.argmax(axis=1)


def _refined(whole: FloatArray, part: FloatArray, window: _Window) -> FloatArray:
    """Move the windows to where they fit best, step by step, each pair on its own; the mismatch there, ``(m,)``."""
    unit = (_shift_difference(whole) + _shift_difference(part)) / 2 + 1e-4
    wanted = _standard(part)
    best: FloatArray = _agreement(whole, wanted, window)
    alive = np.arange(len(whole))
    for round_, step in enumerate(_STEPS):
        if round_ == 2:
            alive = np.flatnonzero((1 - best) / unit < _HOPELESS)
            window = window.at(alive)
        for move in _MOVES:
            moved = _moved(window, move, step)
            found = _agreement(whole[alive], wanted[alive], moved)
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
    """Correlation of the windows of ``whole`` with standardised pictures, ``(m,)``."""
    found: FloatArray = np.einsum("mij,mij->m", _standard(_cut(whole, window)), wanted) / SIDE**2
    return found


def _cut(pictures: FloatArray, window: _Window) -> FloatArray:
    """Each picture's window, resampled to 32 pixels by linear interpolation, transposed twice, ``(m, 32, 32)``."""
    rows = np.arange(len(pictures))[:, None]
    grid = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE

    def along(axis: FloatArray, offset: FloatArray) -> FloatArray:
        position = np.clip((offset[:, None] + grid * window.scale[:, None]) * SIDE - 0.5, 0, SIDE - 1.001)
        before = position.astype(np.int64)
        share = (position - before).astype(np.float32)[:, :, None]
        mixed: FloatArray = axis[rows, before] * (1 - share) + axis[rows, before + 1] * share
        return mixed

    return along(along(pictures, window.top).transpose(0, 2, 1), window.left).transpose(0, 2, 1)


def _standard(pictures: FloatArray) -> FloatArray:
    """Zero mean and unit variance for each picture; a flat picture becomes zeros."""
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    spread = np.sqrt(np.einsum("mij,mij->m", centred, centred) / (pictures.shape[1] * pictures.shape[2]))
    scaled: FloatArray = centred / np.maximum(spread, 1e-3)[:, None, None]
    return scaled


def _shift_difference(pictures: FloatArray) -> FloatArray:
    """How far a picture's correlation with itself, shifted by one pixel, falls short of 1, ``(m,)``."""
    across = (_standard(pictures[:, :, 1:]) * _standard(pictures[:, :, :-1])).mean(axis=(1, 2))
    down = (_standard(pictures[:, 1:]) * _standard(pictures[:, :-1])).mean(axis=(1, 2))
    short: FloatArray = 1 - (across + down) / 2
    return short
