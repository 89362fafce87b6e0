"""What the one pass notes of every image besides its features: a fixed-size record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
from PIL import Image

from zoo.data.decode import Picture

#: One image's record. Hashes are 64 bits; the eight perceptual hashes are those of the image under the eight flips
#: and quarter turns, in the order identity, rot90, rot180, rot270, mirror, mirror+rot90, mirror+rot180, mirror+rot270.
STATISTICS = np.dtype(
    [
        ("bytes", "u8"),  # length of the file
        ("width", "u4"),  # pixels, after EXIF rotation
        ("height", "u4"),
        ("format", "S8"),  # Pillow's name: JPEG, PNG, ...
        ("mode", "S8"),  # Pillow's mode before conversion to RGB
        ("orientation", "u1"),  # EXIF, 1 to 8; 0 where absent
        ("quality", "u1"),  # JPEG quality estimated from the quantisation tables, 1 to 100; 0 where not a JPEG
        ("captured", "i8"),  # EXIF capture time, seconds since 1970; -1 where absent
        ("camera", "u8"),  # hash of EXIF maker and model; 0 where absent
        ("pixel_hash", "u8"),  # of the decoded pixels at a canonical size: equal for exact copies in any lossless file
        ("phash", "u8", (8,)),  # perceptual (DCT) hash under the eight flips and turns
        ("dhash", "u8"),  # gradient hash
        ("brightness", "f4"),  # mean luminance, 0 to 1
        ("contrast", "f4"),  # standard deviation of luminance, 0 to 0.5
        ("dark", "f4"),  # 99th percentile of luminance: low for an underexposed picture
        ("bright", "f4"),  # 5th percentile of luminance: high for an overexposed one
        ("sharpness", "f4"),  # variance of the Laplacian of luminance at 256 px short side
        ("entropy", "f4"),  # bits of the 256-bin luminance histogram, 0 to 8
        ("colourfulness", "f4"),  # mean of max channel - min channel, 0 to 1; 0 for a grey picture
        ("border", "u1", (4, 3)),  # mean RGB of the top, right, bottom and left 5 %
        ("corners", "u1", (4, 3)),  # mean RGB of the four 10 % corners: top left, top right, bottom right, bottom left
        ("thumbnail", "u1", (8, 8, 3)),  # the picture at 8 x 8
        ("grey", "u1", (32, 32)),  # luminance of the whole picture at 32 x 32, its aspect ratio not kept
    ]
)

_SHORT, _LONG = 256, 1024  # the reduction that most is measured on; never larger than the picture itself
_GRID = 40  # 5 % is two cells, 10 % four, an eighth five
_HASH = 32  # side of the picture that is transformed for the perceptual hash
_FREQUENCIES = np.arange(8)[:, None] * (np.arange(_HASH) + 0.5)[None, :] * np.pi / _HASH
_COSINES = np.cos(_FREQUENCIES).astype(np.float32)  # the first eight rows of the discrete cosine transform (type II)
_SIGNS = np.array([1, -1] * 4, dtype=np.float32)  # what a flip does to them
_BITS = np.uint64(1) << np.arange(64, dtype=np.uint64)
# The luminance table of ITU-T T.81, annex K, in ascending order: libjpeg's at quality 50.
_LUMINANCE = np.array([
    10, 11, 12, 12, 13, 14, 14, 14, 16, 16, 16, 17, 18, 19, 22, 22, 24, 24, 24, 26, 29, 35,
    37, 40, 40, 49, 51, 51, 55, 55, 56, 56, 57, 58, 60, 61, 62, 64, 64, 68, 69, 72, 77, 78,
    80, 81, 87, 87, 92, 92, 95, 98, 99, 100, 101, 103, 103, 103, 104, 109, 112, 113, 120, 121,
])  # fmt: skip
_TAKEN, _CHANGED, _MAKER, _MODEL = 36867, 306, 271, 272  # EXIF tags


def measure(picture: Picture, size: int) -> npt.NDArray[np.void]:
    """One picture's record.

    Args:
        picture: As decoded.
        size: Length of the file, bytes.

    Returns:
        A zero-dimensional array of dtype ``STATISTICS``.
    """
    record = np.zeros((), dtype=STATISTICS)
    record["bytes"], record["width"], record["height"] = size, picture.width, picture.height
    record["format"], record["mode"] = picture.format.encode()[:8], picture.mode.encode()[:8]
    record["orientation"] = picture.orientation
    record["quality"] = jpeg_quality(picture.quantization)
    record["captured"] = _captured(picture.exif)
    record["camera"] = _camera(picture.exif)
    grey = _reduced(picture.image.convert("L"))
    grid = _grid(picture.image)
    pixels = f"{picture.width}x{picture.height}".encode() + grey.tobytes() + grid.tobytes()
    record["pixel_hash"] = _short_hash(pixels)
    _luminance(record, grey)
    record["phash"] = perceptual_hashes(grey)
    record["dhash"] = _gradient_hash(grey)
    record["grey"] = np.asarray(grey.resize((_HASH, _HASH), Image.Resampling.BOX))
    _colours(record, grid.astype(np.float32))
    return record


def perceptual_hashes(grey: Image.Image) -> npt.NDArray[np.uint64]:
    """The DCT hash of a grey picture under the eight flips and quarter turns, ``(8,)``, in the order of ``STATISTICS``.

    Source: Zauner 2010, "Implementation and benchmarking of perceptual image hash functions". Flips and turns only
    change signs and transpose the coefficients, so one transform serves all eight.
    """
    pixels = np.asarray(grey.resize((_HASH, _HASH), Image.Resampling.BOX), dtype=np.float32)
    c = _COSINES @ pixels @ _COSINES.T
    rows, columns = _SIGNS[:, None], _SIGNS[None, :]
    turned = c.T * rows  # a quarter turn is a transposition followed by a flip
    m = c * columns
    m_turned = m.T * rows
    eight = (
        c,
        turned,
        c * rows * columns,
        turned * rows * columns,
        m,
        m_turned,
        m * rows * columns,
        m_turned * rows * columns,
    )
    flat = np.stack(eight).reshape(8, 64)
    return np.asarray(((flat > np.median(flat[:, 1:], axis=1, keepdims=True)) * _BITS).sum(axis=1, dtype=np.uint64))


def jpeg_quality(quantization: Mapping[int, list[int]]) -> int:
    """The setting, 1 to 100, at which libjpeg makes tables this coarse; 0 without tables."""
    if not quantization:
        return 0
    coarseness = sum(quantization[min(quantization)])
    return int(np.argmin(np.abs(_COARSENESS - coarseness))) + 1


def _coarseness() -> npt.NDArray[np.int64]:
    """The sum of libjpeg's luminance table at qualities 1 to 100."""
    quality = np.arange(1, 101)[:, None]
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return np.asarray(np.clip((_LUMINANCE * scale + 50) // 100, 1, 255).sum(axis=1))


_COARSENESS = _coarseness()


def _reduced(image: Image.Image) -> Image.Image:
    share = min(1.0, _SHORT / min(image.size), _LONG / max(image.size))
    if share == 1:
        return image
    size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
    return image.resize(size, Image.Resampling.BOX)


def _grid(image: Image.Image) -> npt.NDArray[np.uint8]:
    """The picture in colour at ``_GRID`` x ``_GRID``; whole factors first, as they are cheapest."""
    coarse = image.reduce(max(1, min(image.size) // (2 * _GRID)))
    return np.asarray(coarse.resize((_GRID, _GRID), Image.Resampling.BOX))


def _luminance(record: npt.NDArray[np.void], image: Image.Image) -> None:
    grey = np.asarray(image)
    counts = np.array(image.histogram())
    share = counts / grey.size
    levels = np.arange(256) / 255
    mean = float(share @ levels)
    record["brightness"] = mean
    record["contrast"] = np.sqrt(max(0.0, float(share @ levels**2) - mean**2))
    below = np.cumsum(counts)
    record["dark"] = levels[np.searchsorted(below, 0.99 * grey.size)]
    record["bright"] = levels[np.searchsorted(below, 0.05 * grey.size)]
    seen = share[share > 0]
    record["entropy"] = -float(seen @ np.log2(seen))
    if min(grey.shape) >= 3:
        deep = grey.astype(np.int16)
        edges = 4 * deep[1:-1, 1:-1] - deep[:-2, 1:-1] - deep[2:, 1:-1] - deep[1:-1, :-2] - deep[1:-1, 2:]
        record["sharpness"] = edges.var(dtype=np.float32)


def _colours(record: npt.NDArray[np.void], grid: npt.NDArray[np.float32]) -> None:
    record["colourfulness"] = (grid.max(axis=2) - grid.min(axis=2)).mean() / 255
    edge, corner = _GRID // 20, _GRID // 10
    sides = (grid[:edge], grid[:, -edge:], grid[-edge:], grid[:, :edge])
    corners = (
        grid[:corner, :corner],
        grid[:corner, -corner:],
        grid[-corner:, -corner:],
        grid[-corner:, :corner],
    )
    record["border"] = [np.rint(side.mean(axis=(0, 1))) for side in sides]
    record["corners"] = [np.rint(square.mean(axis=(0, 1))) for square in corners]
    record["thumbnail"] = np.rint(grid.reshape(8, _GRID // 8, 8, _GRID // 8, 3).mean(axis=(1, 3)))


def _gradient_hash(grey: Image.Image) -> np.uint64:
    pixels = np.asarray(grey.resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = (pixels[:, 1:] > pixels[:, :-1]).ravel()
    return np.uint64((bits * _BITS).sum(dtype=np.uint64))


def _short_hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def _captured(exif: Mapping[int, object]) -> int:
    text = exif.get(_TAKEN) or exif.get(_CHANGED)
    if not isinstance(text, str):
        return -1
    try:
        moment = datetime.strptime(text.strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return -1
    return int(moment.timestamp()) if moment.year >= 1970 else -1


def _camera(exif: Mapping[int, object]) -> int:
    parts = [part.strip("\0 ") for part in (exif.get(_MAKER), exif.get(_MODEL)) if isinstance(part, str)]
    return _short_hash("\n".join(parts).encode("utf-8", "replace")) if any(parts) else 0
