"""Heatmaps as pictures: a diverging, perceptually uniform colour scale, with its numbers printed on it."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from explain.pictures import Pixels

FloatArray = npt.NDArray[np.float32]

#: Ends and middle of the scale in OKLCH: lightness, chroma, hue in degrees. Equal lightness at both ends.
_AGAINST, _FOR = (0.45, 0.135, 255.0), (0.45, 0.135, 35.0)
_MIDDLE_LIGHTNESS = 0.97
_STRIP = 32
_SMALLEST = 224


@cache
def colour_scale() -> npt.NDArray[np.uint8]:
    """256 colours, ``(256, 3)``: blue speaks against, white is nothing, red speaks for.

    Straight lines in Oklab (Björn Ottosson, 2020, https://bottosson.github.io/posts/oklab/), so that equal steps of
    relevance look equally large, in both directions.
    """
    position = np.linspace(-1, 1, 256)
    strength = np.abs(position)[:, None]
    ends = np.where(position[:, None] < 0, _lab(*_AGAINST), _lab(*_FOR))
    middle = np.array([_MIDDLE_LIGHTNESS, 0.0, 0.0])
    return np.rint(_to_srgb(middle + (ends - middle) * strength) * 255).astype(np.uint8)


def _lab(lightness: float, chroma: float, hue: float) -> npt.NDArray[np.float64]:
    angle = np.deg2rad(hue)
    return np.array([lightness, chroma * np.cos(angle), chroma * np.sin(angle)])


def _to_srgb(lab: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    to_cones = np.array(
        [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
    )
    to_linear = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip((lab @ to_cones.T) ** 3 @ to_linear.T, 0, 1)
    return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


def scale_of(maps: npt.NDArray[np.float32]) -> float:
    """Relevance at full colour: 99.5th percentile of all values of a class's maps, ``(n, rows, columns)``."""
    size = np.abs(maps[np.isfinite(maps)])
    return float(np.percentile(size, 99.5)) if size.size and size.max() > 0 else 1.0


def overlay(pixels: Pixels, relevance: FloatArray, scale: float) -> Image.Image:
    """The picture in grey under its heatmap, and below it the colour scale from ``-scale`` to ``scale``.

    Small inputs are enlarged by a whole number, so that they can be seen and the scale can be read.

    Args:
        pixels: ``(rows, columns, channels)``.
        relevance: Signed, ``(rows, columns)``.
        scale: Relevance at full colour.
    """
    level = np.clip(np.nan_to_num(relevance / max(scale, 1e-12)), -1, 1)
    colours = colour_scale()[np.rint((level + 1) * 127.5).astype(np.int64)].astype(np.float32)
    grey = np.asarray(picture_of(pixels).convert("L"), dtype=np.float32)[:, :, None]
    # Faint relevance lets the picture through, strong relevance covers it; the picture itself is paled to stay legible.
    cover = 0.85 * np.abs(level)[:, :, None] ** 0.75
    mixed = (1 - cover) * (60 + grey * 0.75) + cover * colours
    shown = enlarged(Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8)))
    canvas = Image.new("RGB", (shown.width, shown.height + _STRIP), "white")
    canvas.paste(shown, (0, 0))
    canvas.paste(_legend(shown.width, scale), (0, shown.height))
    return canvas


def _legend(width: int, scale: float) -> Image.Image:
    strip = Image.new("RGB", (width, _STRIP), "white")
    bar = Image.fromarray(np.repeat(colour_scale()[None], 7, axis=0)).resize((width - 8, 7), Image.Resampling.BILINEAR)
    strip.paste(bar, (4, 3))
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(14)
    labels = ((f"-{scale:.2g}", 4, "la"), ("0", width // 2, "ma"), (f"+{scale:.2g}", width - 4, "ra"))
    for text, x, anchor in labels:
        draw.text((x, 13), text, fill=(40, 40, 40), font=font, anchor=anchor)
    return strip


def enlarged(image: Image.Image) -> Image.Image:
    """The image at a whole multiple of its size, at least 224 pixels wide; as it is where it is large enough."""
    factor = -(-_SMALLEST // image.width)
    return (
        image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST) if factor > 1 else image
    )


def picture_of(pixels: Pixels) -> Image.Image:
    """What the model saw, as RGB."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return image.convert("RGB")
