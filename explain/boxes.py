"""Where the object is: masks, VOC or COCO boxes, seen through the model's crop; pointing game, foreground share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from explain.pictures import Picture
from zoo.data.decode import UnusableImage, decode
from zoo.data.files import read_file
from zoo.errors import DataError
from zoo.preprocess import Preprocess

Box = tuple[float, float, float, float]
Mask = npt.NDArray[np.bool_]

#: Boxes are drawn at most this large before they go through the crop: a file may claim any size.
_LARGEST = 2048


@dataclass(frozen=True, kw_only=True)
class Located:
    """One map against the object.

    Attributes:
        hit: Whether the map's highest point lies on the object (pointing game: Zhang et al., ECCV 2016).
        foreground: Share of the map's positive relevance on the object.
        area: Share of the picture that the object takes: what a map without knowledge has.
    """

    hit: bool
    foreground: float
    area: float


def located(relevance: npt.NDArray[np.float32], mask: Mask) -> Located:
    """Score one map ``(rows, columns)`` against the object's mask of the same size."""
    positive = np.maximum(relevance, 0).astype(np.float64)
    total = positive.sum()
    share = float(positive[mask].sum() / total) if total > 0 else 0.0
    hit = bool(mask[np.unravel_index(int(np.argmax(relevance)), relevance.shape)])
    return Located(hit=hit, foreground=share, area=float(mask.mean()))


def read_masks(source: Path, pictures: Sequence[Picture], preprocess: Preprocess) -> tuple[Mask | None, ...]:
    """The object of each picture as the model sees it; ``None`` where there is no annotation, or nothing is left of it.

    Args:
        source: A folder of masks (``NAME.png``, not black is object) or VOC files (``NAME.xml``), or a COCO file.
        pictures: By whose file names annotations are found.
        preprocess: The geometry to follow.

    Raises:
        DataError: ``source`` is absent or damaged, or fits none of the pictures.
    """
    if source.is_dir():
        full = [_from_folder(source, picture) for picture in pictures]
    elif source.is_file():
        full = _from_coco(source, pictures)
    else:
        raise DataError(
            f"There is no {source}.", remedy="--masks takes a folder of masks or VOC files, or a COCO file."
        )
    flat = replace(preprocess, mean=(0.0,), std=(1.0,), interpolation="nearest")
    masks = [None if image is None else flat.pixels(image)[:, :, 0] > 127 for image in full]
    masks = [mask if mask is not None and mask.any() else None for mask in masks]
    if all(mask is None for mask in masks):
        raise DataError(f"{source} has no object for any of the images.", remedy="Name them like the images.")
    return tuple(masks)


def _from_folder(folder: Path, picture: Picture) -> Image.Image | None:
    if picture.path is None:
        return None
    mask, voc = folder / f"{picture.path.stem}.png", folder / f"{picture.path.stem}.xml"
    if mask.is_file():
        return _mask_image(mask)
    return _drawn(_voc_boxes(voc), picture.size) if voc.is_file() else None


def _mask_image(path: Path) -> Image.Image:
    try:
        grey = np.asarray(decode(read_file(path)).convert("L"))
    except UnusableImage as error:
        raise DataError(
            f"The mask {path} cannot be used: {error.reason}.", remedy="Mend it, or take it away."
        ) from error
    return Image.fromarray((grey > 0).astype(np.uint8) * 255)


def _voc_boxes(path: Path) -> list[Box]:
    text = read_file(path)
    if b"<!" in text.replace(b"<!--", b""):
        raise DataError(
            f"{path} declares entities or a document type.", remedy="VOC files need neither; take them out."
        )
    try:
        root = ET.fromstring(text)  # noqa: S314 - declarations, the way to expand entities, are refused above
        return [
            tuple(float(str(box.findtext(edge))) for edge in ("xmin", "ymin", "xmax", "ymax"))  # type: ignore[misc]
            for box in root.iter("bndbox")
        ]
    except (ET.ParseError, ValueError) as error:
        raise DataError(f"{path} is no VOC annotation ({error}).", remedy="Mend it, or take it away.") from error


def _from_coco(path: Path, pictures: Sequence[Picture]) -> list[Image.Image | None]:
    try:
        plain: Mapping[str, Any] = json.loads(read_file(path))
        names = {image["id"]: Path(image["file_name"]).name for image in plain["images"]}
        boxes: dict[str, list[Box]] = {}
        for annotation in plain["annotations"]:
            left, top, width, height = (float(v) for v in annotation["bbox"])
            boxes.setdefault(names[annotation["image_id"]], []).append((left, top, left + width, top + height))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no COCO annotation ({error}).", remedy="Name a COCO instances file.") from error
    found: list[Image.Image | None] = []
    for picture in pictures:
        own = boxes.get(picture.path.name) if picture.path else None
        found.append(_drawn(own, picture.size) if own else None)
    return found


def _drawn(boxes: Sequence[Box], size: tuple[int, int]) -> Image.Image:
    scale = min(1.0, _LARGEST / max(size))
    canvas = Image.new("L", (max(1, round(size[0] * scale)), max(1, round(size[1] * scale))))
    draw = ImageDraw.Draw(canvas)
    for left, top, right, bottom in boxes:
        if right > left and bottom > top:
            draw.rectangle((left * scale, top * scale, right * scale - 1, bottom * scale - 1), fill=255)
    return canvas
