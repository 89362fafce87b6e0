"""Real images that come with a package: scikit-learn's handwritten digits, as an image folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from zoo.errors import OptionError

_SIDE = 64
#: Pixels of the data set go from 0 to 16.
_SCALE = 255 / 16


def write_digits(folder: Path, *, per_class: int = 60) -> Path:
    """Write ``folder/<digit>/<number>.png``.

    Source: UCI "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998, doi:10.24432/C50P49).

    Args:
        folder: New or empty.
        per_class: Images of each digit, at most 174.

    Raises:
        OptionError: The folder is not empty.
    """
    from sklearn.datasets import load_digits  # 1.7 s that only the demo pays

    if folder.exists() and any(folder.iterdir()):
        raise OptionError(f"The folder {folder} is not empty.", remedy="Choose another --out.")
    images, labels = load_digits(return_X_y=True)
    for digit in range(10):
        (folder / str(digit)).mkdir(parents=True, exist_ok=True)
        for number in np.flatnonzero(labels == digit)[:per_class]:
            grey = Image.fromarray((images[number].reshape(8, 8) * _SCALE).astype(np.uint8))
            grey.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(folder / str(digit) / f"{number:04d}.png")
    return folder
