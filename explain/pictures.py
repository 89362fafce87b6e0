"""Images as a person hands them over -> what the model sees, or the reason why not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from zoo.data.dataset import Dataset, Skipped
from zoo.data.decode import UnusableImage, decode
from zoo.data.files import read_file
from zoo.data.formats import IMAGE_SUFFIXES
from zoo.data.names import class_name, printable
from zoo.errors import DataError
from zoo.preprocess import Preprocess

Pixels = npt.NDArray[np.uint8]
#: What ``explain`` takes: a file, a folder, a data set, or a mixture of files and opened pictures, with labels or not.
Images = str | Path | Dataset | Sequence[Any]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image as the model sees it.

    Attributes:
        name: For people; one printable line.
        pixels: ``(height, width, channels)``, uint8, resized and cropped.
        label: True class, where known.
        path: The file, where there is one.
        size: Width and height of the whole image.
    """

    name: str
    pixels: Pixels
    label: int | None
    path: Path | None
    size: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class _Source:
    name: str
    label: int | None
    path: Path | None = None
    image: Image.Image | None = None


def read_pictures(
    images: Images, preprocess: Preprocess, classes: Sequence[str], *, most: int, seed: int = 0
) -> tuple[tuple[Picture, ...], tuple[Skipped, ...]]:
    """At most ``most`` pictures, drawn with ``seed`` and in their given order, and what was skipped and why.

    A file's label is the name of its folder, where that is a class. Memory holds one full picture at a time.

    Raises:
        DataError: No image can be used.
    """
    sources = list(_sources(images, classes))
    drawn = np.random.default_rng(seed).permutation(len(sources))
    pictures: dict[int, Picture] = {}
    skipped: list[Skipped] = []
    for position in drawn:
        if len(pictures) == most:
            break
        try:
            pictures[int(position)] = _read(sources[position], preprocess)
        except UnusableImage as error:
            skipped.append(Skipped(path=sources[position].name, reason=error.reason))
    if not pictures:
        reason = f"{skipped[0].path}: {skipped[0].reason}." if skipped else "There are none."
        raise DataError(f"No image can be explained. {reason}", remedy="Name image files or a folder of them.")
    return tuple(pictures[k] for k in sorted(pictures)), tuple(sorted(skipped, key=lambda s: s.path))


def _read(source: _Source, preprocess: Preprocess) -> Picture:
    if source.image is not None:
        image = _upright(source.image)
    else:
        assert source.path is not None, "a source is a file or an image"
        # A JPEG may be decoded at a fraction of its size: less memory, the same input.
        short_side = round(max(preprocess.size) / preprocess.crop_pct)
        image = decode(read_file(source.path), short_side=short_side)
    return Picture(
        name=source.name, pixels=preprocess.pixels(image), label=source.label, path=source.path, size=image.size
    )


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError) as error:  # opened lazily by the caller, and damaged
        raise UnusableImage("damaged") from error


def _sources(images: Images, classes: Sequence[str]) -> Iterator[_Source]:
    if isinstance(images, Dataset):
        names = [classes.index(c) if c in classes else None for c in images.classes]
        for sample in images.samples:
            label = names[sample.label] if sample.label >= 0 else None
            yield _Source(name=printable(sample.path), label=label, path=images.file(sample))
    elif isinstance(images, (str, Path)):
        yield from _files(Path(images), classes)
    else:
        for number, item in enumerate(images):
            yield from _item(item, number, classes)


def _item(item: Any, number: int, classes: Sequence[str]) -> Iterator[_Source]:
    image, label = item if isinstance(item, tuple) else (item, None)
    if isinstance(label, str):
        label = classes.index(label) if label in classes else None
    if isinstance(image, Image.Image):
        yield _Source(name=f"image {number}", label=None if label is None else int(label), image=image)
        return
    for source in _files(Path(image), classes):
        yield source if label is None else _Source(name=source.name, label=int(label), path=source.path)


def _files(path: Path, classes: Sequence[str]) -> Iterator[_Source]:
    """A file, or the image files below a folder, by name."""
    if not path.is_dir():
        if not path.exists():
            raise DataError(f"There is no file {path}.", remedy="Name image files or a folder of them.")
        yield _Source(name=printable(path.name), label=_label(path, classes), path=path)
        return
    for file in sorted(path.rglob("*")):
        if file.suffix.lower().lstrip(".") in IMAGE_SUFFIXES and file.is_file():
            name = printable(file.relative_to(path).as_posix())
            yield _Source(name=name, label=_label(file, classes), path=file)


def _label(file: Path, classes: Sequence[str]) -> int | None:
    name = class_name(file.parent.name)
    return list(classes).index(name) if name in classes else None
