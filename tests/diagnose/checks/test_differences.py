"""What is said of how pictures differ: against the picture operation that made the difference."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter
from sklearn.metrics import roc_auc_score

from diagnose.check import DATA_CHECKS
from diagnose.differences import area, differences
from tests import faults


def changed(operation, where):
    """Digits, some of which went through an operation."""
    world = faults.healthy(0, 240)
    rows = np.flatnonzero(where(world))
    files = {int(row): faults.encode(operation(world.picture(row))) for row in rows}
    mask = np.zeros(len(world.paths), dtype=bool)
    mask[rows] = True
    return world.with_files(files).context(), mask


def held_out(world):
    return np.array(world.splits) == "val"


OPERATIONS = {
    "blurrier": lambda image: image.filter(ImageFilter.GaussianBlur(3)),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.5),
    "of less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.3),
    "less colourful": lambda image: image.convert("L").convert("RGB"),
    "wider": lambda image: image.resize((image.width * 2, image.height)),
}


@pytest.mark.parametrize("said", OPERATIONS)
def test_what_was_done_to_a_group_is_said_of_it(said):
    context, group = changed(OPERATIONS[said], held_out)
    assert said in differences(context.statistics, group)


def test_of_pictures_drawn_at_random_nothing_is_said():
    context, group = changed(lambda image: image, held_out)
    assert differences(context.statistics, group) == []


def test_how_far_pictures_are_compressed_is_compared_among_those_that_tell():
    def compressed(quality):
        data = io.BytesIO()
        Image.new("RGB", (32, 32), (90, 120, 40)).save(data, "JPEG", quality=quality)
        return data.getvalue()

    world = faults.healthy(0, 240)
    group = np.arange(240) % 3 == 0
    files = {row: compressed(40 if group[row] else 95) for row in range(200)}
    assert "more compressed" in differences(world.with_files(files).context().statistics, group)


@pytest.mark.parametrize("seed", range(5))
def test_the_area_is_that_of_scikit_learn_with_and_without_ties(seed):
    rng = np.random.default_rng(seed)
    positive = rng.random(60) < 0.3
    for scores in (rng.normal(size=60), rng.integers(0, 4, 60)):
        assert area(scores.astype(np.float32), positive) == pytest.approx(roc_auc_score(positive, scores))


def test_an_area_of_one_kind_only_is_a_half():
    assert area(np.arange(3, dtype=np.float32), np.ones(3, dtype=bool)) == 0.5


@pytest.mark.parametrize(
    ("where", "words"),
    [(held_out, "all of them held out"), (lambda world: world.labels == 3, "all of them labelled")],
    ids=["in the held-out part", "in a class"],
)
def test_pictures_that_show_little_are_said_to_lie_where_they_all_lie(where, words):
    context, _ = changed(OPERATIONS["blurrier"], where)
    (finding,) = DATA_CHECKS["image-quality"]().run(context)
    assert words in finding.message


def test_a_shift_says_how_the_held_out_pictures_differ():
    context, _ = changed(OPERATIONS["darker"], held_out)
    (finding,) = DATA_CHECKS["split-shift"]().run(context)
    assert "darker" in finding.message
