"""Pictures for the sandbox from a person's folder, and the file to fill in."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from diagnose.algorithm_data import pictures_of
from diagnose.check import ALGORITHM_CHECKS
from diagnose.probe import Certainty
from diagnose.submission import write_template
from zoo.data import read
from zoo.errors import DataError, OptionError


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name, count in (("cat", 30), ("dog", 10)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 255, (300, 400, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{i}.jpg")
    return tmp_path / "data"


def test_a_subset_keeps_the_shares_of_the_classes_and_is_shrunk(folder):
    pictures = pictures_of(read(folder), train=16, validation=8)

    assert pictures.classes == ("cat", "dog")
    assert np.bincount(pictures.train_labels).tolist() == [12, 4]
    assert {image.size for image in pictures.train} == {(341, 256)}
    assert list(pictures.train_labels) == sorted(pictures.train_labels)


def test_no_picture_is_in_both_halves(folder):
    pictures = pictures_of(read(folder))
    halves = [{image.tobytes() for image in half} for half in (pictures.train, pictures.validation)]

    assert not halves[0] & halves[1]
    assert len(halves[0]) + len(halves[1]) == 40


def test_a_picture_that_cannot_be_read_is_left_out(folder):
    dataset = read(folder)
    (folder / "cat" / "0.jpg").write_bytes(b"no picture any more")
    pictures = pictures_of(dataset)

    assert len(pictures.train) + len(pictures.validation) == 39


def test_one_class_is_refused_with_what_to_do(folder):
    dataset = read(folder)
    only = dataset.select([i for i, s in enumerate(dataset.samples) if s.label == 0])

    with pytest.raises(DataError, match="two or more classes"):
        pictures_of(only)


def test_the_template_is_a_healthy_algorithm(tmp_path, audited):
    path = tmp_path / "train.py"
    write_template(path)
    context = audited(path.read_text(encoding="utf-8"))

    assert set(context.loaded.defined) >= {
        "model",
        "transform",
        "loss",
        "optimizer",
        "train_step",
        "evaluate",
        "loader",
    }
    seen = [o for kind in ALGORITHM_CHECKS.values() for o in kind().observe(context) if o.certainty > Certainty.NONE]
    assert seen == []


def test_the_template_never_overwrites_a_file(tmp_path):
    path = tmp_path / "train.py"
    path.write_text("mine", encoding="utf-8")

    with pytest.raises(OptionError, match="exists"):
        write_template(path)
    assert path.read_text(encoding="utf-8") == "mine"
