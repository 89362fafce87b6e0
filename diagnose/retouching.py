"""The experiment on shortcuts: give pictures the light, the border or the corners of others, and look what is made of them.

Everything else of a picture stays. What the change itself does (a seam, a clipped highlight) happens as well when the other
picture is of the same class, so that only the difference between the two is held against the shortcut.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from zoo.catalog import Card
from zoo.data import Dataset, Sample
from zoo.data.decode import decode_picture
from zoo.features import embed
from zoo.neighbours import FloatArray

Pixels = npt.NDArray[np.float32]
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
_CORNER, _BORDER = 0.2, 0.05  # of the longer and of the shorter side; a broader border would be a third of the picture


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The pictures themselves, for experiments that change them.

    Attributes:
        open: The picture at a sample's path, RGB.
        embed: Features of some pictures by name of the backbone, each ``(n, d)``.
    """

    open: Callable[[str], Image.Image]
    embed: Callable[[Sequence[Image.Image]], Mapping[str, FloatArray]]


def pictures_of(dataset: Dataset, cards: Sequence[Card], *, device: str = "auto", offline: bool = False) -> Pictures:
    """Those of a data set that lies on the disk, seen by these backbones."""

    def look(changed: Sequence[Image.Image]) -> Mapping[str, FloatArray]:
        samples = tuple(Sample(path=f"{number:04d}.png", label=0) for number in range(len(changed)))
        with tempfile.TemporaryDirectory(prefix="zoovet-") as folder:
            for sample, image in zip(samples, changed, strict=True):
                image.save(Path(folder) / sample.path, compress_level=1)
            of = Dataset(root=Path(folder), samples=samples, classes=("changed",), name="changed")
            features = embed(of, cards, device=device, offline=offline)
            return {card.name: np.asarray(features.matrix(card.name), dtype=np.float32) for card in cards}

    return Pictures(open=lambda path: decode_picture((dataset.root / path).read_bytes()).image, embed=look)


def retouched(picture: Image.Image, donor: Image.Image, what: str) -> Image.Image:
    """The picture with the donor's light, border or corners; ``what`` is one of ``TOUCHES``."""
    own, other = (np.asarray(image.convert("RGB"), dtype=np.float32) for image in (picture, donor))
    return Image.fromarray(np.clip(TOUCHES[what](own, other), 0, 255).astype(np.uint8))


def _light(own: Pixels, other: Pixels) -> Pixels:
    """Mean and deviation of the other's luminance."""
    grey, wanted = own @ _LUMA, other @ _LUMA
    gain = wanted.std() / max(float(grey.std()), 1.0)
    return np.asarray((own - grey.mean()) * gain + wanted.mean(), dtype=np.float32)


def _frame(own: Pixels, other: Pixels, *, corners: bool) -> Pixels:
    """The other's corners or border, stretched to this picture's size, laid over it."""
    height, width = own.shape[:2]
    fitted = np.asarray(Image.fromarray(other.astype(np.uint8)).resize((width, height)), dtype=np.float32)
    y, x = np.arange(height)[:, None], np.arange(width)[None, :]
    down, right = np.minimum(y, height - 1 - y), np.minimum(x, width - 1 - x)  # pixels to the nearest edge
    if corners:
        side = _CORNER * max(height, width)
        covered = (down < side) & (right < side)
    else:
        side = _BORDER * min(height, width)
        covered = (down < side) | (right < side)
    return np.where(covered[:, :, None], fitted, own)


TOUCHES: Mapping[str, Callable[[Pixels, Pixels], Pixels]] = {
    "brightness and contrast": _light,
    "border colour": partial(_frame, corners=False),
    "corner colour": partial(_frame, corners=True),
}
