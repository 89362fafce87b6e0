"""Bytes -> an upright RGB picture, or the reason why not. Bounded in memory, silent, safe in many threads."""

from __future__ import annotations

import ctypes
import importlib.util
import io
import logging
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)

from zoo.data.formats import HEAD, describe, sniff
from zoo.data.quiet import quiet_pillow
from zoo.errors import DataError

#: Most pixels that are decoded at once: 400 MB, as Pillow spends 4 bytes on an RGB pixel.
MAX_PIXELS = 100_000_000
#: A JPEG may be this many times larger, where DCT scaling brings it under ``MAX_PIXELS``.
_DRAFT_FACTOR = 10
#: JPEG scales by 1/8 at most.
_LARGEST_DRAFT = 8

# The plugins themselves, not Image.open: that would consult every plugin that is registered (Ghostscript for EPS),
# and holds to a process-wide pixel limit that knows nothing of DCT scaling.
_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
    "JPEG2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
}
if features.check("avif"):  # from Pillow 11.3 on, in the wheels
    from PIL import AvifImagePlugin

    _PLUGINS["AVIF"] = AvifImagePlugin.AvifImageFile

# What Pillow raises for damaged files: its readers index and unpack whatever they are given.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION, _EXIF_IFD = 0x0112, 0x8769

# Without a handler the logging module prints Pillow's complaints about damaged files to stderr.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def _silence_libtiff() -> None:
    """Keeps libtiff from writing to stderr for each fault of a damaged file: Pillow has no switch for that."""
    extension = importlib.util.find_spec("PIL._imaging")
    # Where libtiff is linked in statically, its function is not to be found, and it goes on talking.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(extension.origin if extension else None).TIFFSetErrorHandler(None)


_silence_libtiff()


class UnusableImage(DataError):  # noqa: N818 - the contract's name; it is caught and noted far more often than shown
    """A file that is no usable picture.

    Args:
        reason: Why, in a few words ("truncated", "an empty file").
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"The picture cannot be used: {reason}.", remedy="")
        self.reason = reason

    def __reduce__(self) -> tuple[type[UnusableImage], tuple[str]]:
        return UnusableImage, (self.reason,)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded picture and what its file said.

    Attributes:
        image: RGB, 8 bits a channel, upright.
        format: Pillow's name: "JPEG", "PNG", ...
        mode: Pillow's mode before the conversion: "RGB", "CMYK", "P", "I;16", ...
        width: Pixels of the full picture, upright; ``image`` is smaller where DCT scaling was used.
        height: Likewise.
        orientation: EXIF, 1 to 8; 0 where absent.
        transparent: Whether it had transparency, and was laid on white.
        exif: What the EXIF block holds, by tag, its sub-block of the exposure (0x8769) included; empty where absent or
            damaged.
        quantization: JPEG quantisation tables, by number, 64 values each; empty for other formats.
    """

    image: Image.Image
    format: str
    mode: str
    width: int
    height: int
    orientation: int
    transparent: bool
    exif: dict[int, Any]
    quantization: dict[int, list[int]]


def decode(data: bytes, *, short_side: int | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The picture in ``data``, 8-bit RGB, upright.

    The content decides on the format, not a name. Transparent pictures are laid on white; 16-bit ones keep their high
    byte, so that full scale is white; CMYK and palettes are converted; of an animation the first frame is taken.

    Args:
        data: A whole file.
        short_side: The shorter side that is needed, in pixels. A JPEG at least twice as large is decoded at 1/2, 1/4 or
            1/8 of its size by DCT scaling, which is cheaper; the result is never smaller than this because of it.
        max_pixels: Most pixels to decode; larger pictures are refused.

    Raises:
        UnusableImage: With the reason.
    """
    return decode_picture(data, short_side=short_side, max_pixels=max_pixels).image


def decode_picture(data: bytes, *, short_side: int | None = None, max_pixels: int = MAX_PIXELS) -> Picture:
    """Like ``decode``, with what the file said of itself."""
    with quiet_pillow(), _reasons():
        image = _open(data)
        full = image.size
        _bound(image, short_side, max_pixels)
        quantization = dict(getattr(image, "quantization", None) or {})
        image.load()
        exif = _exif(image)
        rgb, transparent = _to_rgb(image)
        orientation = _orientation(exif)
        # TIFF files are turned while they are loaded, and then bear no orientation any more.
        upright = rgb.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else rgb
        width, height = full[::-1] if orientation >= 5 else full
    return Picture(
        image=upright,
        format=image.format or "",
        mode=image.mode,
        width=width,
        height=height,
        orientation=orientation,
        transparent=transparent,
        exif=exif,
        quantization=quantization,
    )


@contextmanager
def _reasons() -> Iterator[None]:
    """Turns what Pillow raises for damaged files into ``UnusableImage``."""
    try:
        yield
    except MemoryError:
        raise UnusableImage("too large for the memory") from None
    except _DAMAGE as error:
        raise UnusableImage(_reason(error)) from error


def _open(data: bytes) -> ImageFile.ImageFile:
    head = data[:HEAD]
    name = sniff(head)
    if name is None:
        raise UnusableImage(describe(head))
    if name not in _PLUGINS:
        raise UnusableImage(f"{name} is not supported here: convert it to JPEG or PNG")
    return _PLUGINS[name](io.BytesIO(data), "")


def _bound(image: ImageFile.ImageFile, short_side: int | None, max_pixels: int) -> None:
    """Lets a JPEG decode at a fraction of its size, and refuses what would still need too much memory."""
    width, height = image.size
    if width < 1 or height < 1:
        raise UnusableImage("it has no pixels")
    pixels = width * height
    # A progressive JPEG is held at full size in memory whatever the scale.
    scalable = isinstance(image, JpegImagePlugin.JpegImageFile) and not (
        pixels > max_pixels and image.info.get("progressive")
    )
    if scalable and short_side is not None and min(width, height) >= 2 * short_side:
        image.draft(None, (short_side, short_side))
    drafted = image.size[0] * image.size[1]
    if drafted > max_pixels or pixels > max_pixels * _DRAFT_FACTOR:
        raise UnusableImage(f"too large: {width} x {height} pixels")


def _exif(image: Image.Image) -> dict[int, Any]:
    try:
        block = image.getexif()
        return {**block.get_ifd(_EXIF_IFD), **block} if _EXIF_IFD in block else dict(block)
    except _DAMAGE:  # a damaged EXIF block does not make a picture useless
        return {}


def _orientation(exif: dict[int, Any]) -> int:
    value = exif.get(_ORIENTATION, 0)
    return value if isinstance(value, int) and 1 <= value <= 8 else 0


def _to_rgb(image: Image.Image) -> tuple[Image.Image, bool]:
    """As RGB, and whether it was transparent somewhere by its mode (a palette or key colour counts)."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image, False
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_to_rgb(image), False
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        coloured = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(coloured, mask=coloured.getchannel("A"))
        return white, True
    return image.convert("RGB"), False


def _deep_to_rgb(image: Image.Image) -> Image.Image:
    """Grey pictures of 16 or 32 bits: Pillow's own conversion would clip them at 255.

    16 bits keep the high byte. 32-bit ones have no agreed full scale: whole numbers within 16 bits are taken as 16 bits
    (so PGM files come), fractions within 0..1 as that; anything else is stretched from its least to its greatest value.
    """
    values = np.asarray(image)
    if values.dtype == np.uint16:
        return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
    if values.dtype == np.float32:
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if values.dtype == np.float32 and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 65535 and values.dtype == np.int32:
        low, high = 0.0, 65535.0
    scaled = (values.astype(np.float32) - low) * (255 / max(high - low, 1e-12))
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8)).convert("RGB")


def _reason(error: BaseException) -> str:
    """A few words in place of Pillow's message, which may quote bytes of the file."""
    text = str(error).lower()
    if isinstance(error, Image.DecompressionBombError):
        return "too large: a frame inside it exceeds the limit"
    if any(
        word in text for word in ("truncated", "not enough", "buffer is not large enough", "ended", "unexpected end")
    ):
        return "truncated"
    if isinstance(error, EOFError):
        return "truncated"
    return "damaged"
