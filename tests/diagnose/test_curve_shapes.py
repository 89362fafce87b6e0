"""What curves look like, and since when; a sound training looks like nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.curves import drawn
from diagnose.curve_shapes import CurveJudge, Shape
from diagnose.curves import Curves, Series

EPOCHS = np.arange(1, 31)


def curves(train, validation=None, **more) -> Curves:
    def series(values):
        return Series(at=tuple(float(e) for e in EPOCHS[: len(values)]), values=tuple(float(v) for v in values))

    held = train if validation is None else validation
    return Curves(train_loss=series(train), validation_loss=series(held), **{k: series(v) for k, v in more.items()})


def shapes(*arguments, **more) -> list[Shape]:
    return [sign.shape for sign in CurveJudge()(curves(*arguments, **more), num_classes=10)]


SOUND = 0.05 + 2.2 * np.exp(-EPOCHS / 3)


def test_a_sound_training_has_no_sign():
    assert shapes(SOUND, 0.1 + SOUND, validation_accuracy=0.97 - SOUND / 5) == []


def test_a_loss_that_is_not_a_number_has_diverged_since_then():
    values = SOUND.copy()
    values[11:] = np.nan
    (sign,) = CurveJudge()(curves(values))

    assert (sign.shape, sign.since) == (Shape.DIVERGED, 12)


def test_a_loss_that_turns_and_ends_above_its_start_has_diverged_since_the_turn():
    values = np.where(EPOCHS < 10, SOUND, 0.3 * EPOCHS)
    (sign,) = CurveJudge()(curves(values))

    assert (sign.shape, sign.since) == (Shape.DIVERGED, 9)


def test_a_flat_curve_is_a_plateau_and_a_flat_curve_that_knows_everything_is_not():
    flat = np.full(30, math.log(10))
    assert shapes(flat, validation_accuracy=np.full(30, 0.1)) == [Shape.PLATEAU]
    assert shapes(np.full(30, 0.02), validation_accuracy=np.full(30, 0.99)) == []


def test_a_loss_that_creeps_is_slow():
    assert shapes(2.3 - 0.02 * EPOCHS) == [Shape.SLOW]


def test_a_training_stopped_early_still_improves():
    short = SOUND[:5]
    accuracy = 0.9 - short / 4
    assert shapes(short, short, validation_accuracy=accuracy) == [Shape.STILL_IMPROVING]


def test_a_validation_loss_that_rises_while_training_goes_on_is_overfitting_since_its_least():
    held = 0.3 + SOUND + 0.05 * np.maximum(0, EPOCHS - 12)
    train = SOUND * np.exp(-EPOCHS / 40)
    found = CurveJudge()(curves(train, held))

    assert [sign.shape for sign in found] == [Shape.OVERFITTING]
    assert 11 <= found[0].since <= 14


def test_curves_that_level_out_at_a_bad_fit_are_underfitting():
    level = 1.2 + np.exp(-EPOCHS / 2)
    more = {"train_accuracy": np.full(30, 0.55), "validation_accuracy": np.full(30, 0.54)}
    assert shapes(level, level, **more) == [Shape.UNDERFITTING]


@pytest.mark.parametrize(("loss", "held"), [(0.69, True), (0.43, False), (0.25, False)])
def test_a_loss_beyond_what_its_accuracy_leaves_is_held_back(loss, held):
    """Of ten classes 92.5 % right: by Fano's inequality 0.43 nats are the most that sure answers lose."""
    level = [1.4, loss + 0.1, *[loss] * 12]
    more = {"train_accuracy": [0.6, *[0.925] * 13], "validation_accuracy": [0.6, *[0.9] * 13]}
    assert shapes(level, level, **more) == ([Shape.HELD_BACK] if held else [])


def test_a_jumping_loss_is_noisy():
    jumps = np.concatenate([[2.3], 1.0 + 0.6 * (-1.0) ** EPOCHS[1:]])
    assert Shape.NOISY in shapes(jumps)


def test_two_points_have_no_shape():
    assert shapes([2.3, 2.3]) == []


@pytest.mark.parametrize("seed", range(3))
def test_drawn_curves_are_called_by_their_names(seed):
    for case in drawn(seed + 100):
        found = [str(s.shape) for s in CurveJudge()(case.curves, num_classes=10)]
        if case.kind in {"diverged", "underfitting", "still-improving", "healthy"}:
            assert (found or ["healthy"])[0] == case.kind
