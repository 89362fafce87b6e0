"""The file of predictions: what is written is read again, and what is something else is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zoo.errors import DataError
from zoo.predictions import Predictions


def made(*paths: str, labels: tuple[int, ...] = (0, 1, -1)) -> Predictions:
    probabilities = np.array([[0.75, 0.25], [0.5, 0.5], [0.125, 0.875]], dtype=np.float32)
    return Predictions(
        paths=paths, classes=("cat, dog", '"quoted"'), labels=np.array(labels), probabilities=probabilities
    )


@pytest.mark.parametrize(
    "paths",
    [
        ("a.png", "b/c.png", "d.png"),
        ("comma,name.png", 'quote".png', "line\nbreak.png"),
        ("ä.png", "猫.png", "\udcff.png"),
    ],
    ids=["plain", "csv's own signs", "not ascii, nor utf-8"],
)
def test_what_is_written_is_read_again(tmp_path: Path, paths: tuple[str, str, str]) -> None:
    before = made(*paths)
    before.write(tmp_path / "predictions.csv")
    after = Predictions.read(tmp_path / "predictions.csv")
    assert after.paths == before.paths
    assert after.classes == before.classes
    np.testing.assert_array_equal(after.labels, before.labels)
    np.testing.assert_array_equal(after.probabilities, before.probabilities)


def test_images_without_a_label_do_not_count(tmp_path: Path) -> None:
    assert made("a", "b", "c").scores().count == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "path,label\n",
        "path,label,predicted,prob:x\na.png,unknown,x,1\n",
        "path,label,predicted,prob:x\na.png,x,x,much\n",
    ],
    ids=["empty", "too few columns", "a label without a column", "no number"],
)
def test_another_file_is_refused_with_the_columns_that_are_wanted(tmp_path: Path, text: str) -> None:
    file = tmp_path / "other.csv"
    file.write_text(text)
    with pytest.raises(DataError, match="path,label,predicted,prob:CLASS"):
        Predictions.read(file)
