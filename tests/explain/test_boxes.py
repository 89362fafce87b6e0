from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explain.boxes import located, read_masks
from explain.pictures import Picture
from zoo.errors import DataError
from zoo.preprocess import Preprocess

PREPROCESS = Preprocess(size=(50, 50), crop_pct=1.0)
BOX = "<xmin>100</xmin><ymin>0</ymin><xmax>150</xmax><ymax>50</ymax>"
VOC = f"<annotation><object><bndbox>{BOX}</bndbox></object></annotation>"


def picture(folder: Path) -> Picture:
    return Picture(
        name="a.jpg", pixels=np.zeros((50, 50, 3), dtype=np.uint8), label=None, path=folder / "a.jpg", size=(200, 100)
    )


def mask_of(source: Path, folder: Path) -> np.ndarray:
    (mask,) = read_masks(source, [picture(folder)], PREPROCESS)
    assert mask is not None
    return mask


def test_boxes_and_masks_follow_the_models_crop(tmp_path: Path) -> None:
    # 200 x 100 becomes 100 x 50, of which the middle 50 columns stay: the box covers columns 25 to 50 and rows 0 to 25.
    expected = np.zeros((50, 50), dtype=bool)
    expected[:25, 25:50] = True
    voc, png = tmp_path / "voc", tmp_path / "png"
    voc.mkdir()
    png.mkdir()
    (voc / "a.xml").write_text(VOC)
    full = np.zeros((100, 200), dtype=np.uint8)
    full[:50, 100:150] = 1
    Image.fromarray(full).save(png / "a.png")
    coco = tmp_path / "coco.json"
    coco.write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "images/a.jpg"}],
                "annotations": [{"image_id": 1, "bbox": [100, 0, 50, 50]}],
            }
        )
    )
    for source in (voc, png, coco):
        mask = mask_of(source, tmp_path)
        assert (mask != expected).mean() < 0.03


def test_the_pointing_game_and_the_foreground_share() -> None:
    mask = np.zeros((10, 10), dtype=bool)
    mask[:5, :5] = True
    on, off = np.zeros((10, 10), dtype=np.float32), np.full((10, 10), -1, dtype=np.float32)
    on[2, 2], on[8, 8] = 3, 1
    off[9, 9] = 2
    assert located(on, mask).hit
    assert located(on, mask).foreground == 0.75
    assert located(on, mask).area == 0.25
    assert not located(off, mask).hit
    assert located(off, mask).foreground == 0


@pytest.mark.parametrize(
    "text", ["<annotation>", '<!DOCTYPE x [<!ENTITY a "b">]><annotation/>', VOC.replace("100", "a hundred", 1)]
)
def test_a_damaged_or_dangerous_annotation_is_refused_with_its_name(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(DataError, match=r"a\.xml"):
        read_masks(tmp_path, [picture(tmp_path)], PREPROCESS)


def test_annotations_that_fit_no_image_are_told(tmp_path: Path) -> None:
    (tmp_path / "b.xml").write_text(VOC)
    with pytest.raises(DataError, match="no object for any"):
        read_masks(tmp_path, [picture(tmp_path)], PREPROCESS)
    (tmp_path / "c.json").write_text('{"images": 3}')
    with pytest.raises(DataError, match="COCO"):
        read_masks(tmp_path / "c.json", [picture(tmp_path)], PREPROCESS)
    with pytest.raises(DataError, match="There is no"):
        read_masks(tmp_path / "nothing", [picture(tmp_path)], PREPROCESS)
