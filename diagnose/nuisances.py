"""What a picture's file and frame tell without its content: the inputs of the shortcut check."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from diagnose.context import Context, Statistics

Columns = npt.NDArray[np.float32]


def nuisances(context: Context) -> dict[str, Columns]:
    """Inputs by name, each ``(n, k)``, standardised; those that are the same for all pictures are left out."""
    statistics = context.statistics
    found = {
        "picture size": _size(statistics),
        "file encoding": _encoding(statistics),
        "camera": _codes(statistics["camera"]),
        "capture time": _time(statistics),
        "file name": _names(context.paths),
        "brightness and contrast": _light(statistics),
        "border colour": statistics["border"].reshape(len(statistics), -1).astype(np.float32),
        "corner colour": statistics["corners"].reshape(len(statistics), -1).astype(np.float32),
    }
    standard = {name: _standard(columns) for name, columns in found.items()}
    return {name: columns for name, columns in standard.items() if columns.shape[1]}


def middle(context: Context) -> Columns:
    """Colours at four places inside the pictures, ``(n, k)``: what a frame must tell more than."""
    inside = context.statistics["thumbnail"][:, [2, 2, 5, 5], [2, 5, 2, 5]]
    return _standard(inside.reshape(len(inside), -1).astype(np.float32))


def _size(statistics: Statistics) -> Columns:
    width, height = (np.log(np.maximum(statistics[side], 1.0)) for side in ("width", "height"))
    return np.stack([width, height, width - height, np.abs(width - height)], axis=1)


def _encoding(statistics: Statistics) -> Columns:
    """Quality, format and mode; not the length of the file, which says how much there is to see."""
    return np.concatenate(
        [statistics["quality"][:, None].astype(np.float32), _codes(statistics["format"]), _codes(statistics["mode"])],
        axis=1,
    )


def _time(statistics: Statistics) -> Columns:
    captured = statistics["captured"].astype(np.float64)
    known = captured >= 0
    captured = np.where(known, captured, captured[known].mean() if known.any() else 0)
    hour = 2 * np.pi * (captured % 86400) / 86400
    return np.stack([known, captured, np.sin(hour) * known, np.cos(hour) * known], axis=1)


def _names(paths: tuple[str, ...]) -> Columns:
    """Length of the file's name, shares of digits, capitals and dashes, and its first two letters."""
    names = [path.rsplit("/", 1)[-1] for path in paths]
    stems = [name.rsplit(".", 1)[0] for name in names]
    shape = [
        (
            len(stem),
            sum(letter.isdigit() for letter in stem) / max(len(stem), 1),
            sum(letter.isupper() for letter in stem) / max(len(stem), 1),
            sum(letter in "-_ " for letter in stem),
        )
        for stem in stems
    ]
    endings = np.array([name.rsplit(".", 1)[-1] for name in names])
    starts = np.array([stem[:2] for stem in stems])
    return np.concatenate([np.array(shape, dtype=np.float32), _codes(endings), _codes(starts)], axis=1)


def _light(statistics: Statistics) -> Columns:
    names = ("brightness", "contrast", "dark", "bright", "entropy", "colourfulness")
    return np.stack([*(statistics[name] for name in names), np.log(statistics["sharpness"] + 1e-9)], axis=1)


def _codes(values: npt.NDArray[np.generic]) -> Columns:
    """Indicators of the ten most frequent values, ``(n, up to 10)``."""
    found, count = np.unique(values, return_counts=True)
    frequent = found[np.argsort(-count, kind="stable")][:10]
    return np.asarray(values[:, None] == frequent[None, :], dtype=np.float32)


def _standard(columns: npt.NDArray[np.floating]) -> Columns:
    """Zero mean, unit variance; constant columns are dropped, and squares added so that a linear model sees a middle."""
    columns = columns.astype(np.float64)
    spread = columns.std(axis=0)
    kept = (columns[:, spread > 1e-9] - columns[:, spread > 1e-9].mean(axis=0)) / spread[spread > 1e-9]
    squares = kept**2 - 1
    return np.concatenate([kept, squares[:, squares.std(axis=0) > 1e-6]], axis=1).astype(np.float32)
