"""A stronger reference is trained on the training images alone and judged on the others."""

import numpy as np
import pytest
from PIL import Image

from diagnose import escalation
from diagnose.context import Context
from diagnose.findings import Estimate
from zoo.data import read
from zoo.statistics import STATISTICS


def near(value):
    return Estimate(value=value, interval=(value - 0.03, value + 0.03))


@pytest.mark.parametrize(
    ("target", "yours", "gap", "expected"),
    [
        (None, None, None, False),
        (0.95, None, None, True),
        (0.85, None, None, False),
        (0.95, near(0.7), near(0.2), True),
        (0.95, near(0.99), near(-0.1), True),
        (0.95, near(0.99), near(0), False),
        (None, near(0.95), near(-0.05), True),
        (None, near(0.9), near(0), False),
    ],
)
def test_a_stronger_reference_is_wanted_where_the_probe_misses_the_target_or_theirs_beats_it(
    target, yours, gap, expected
):
    assert escalation.wanted(target, near(0.9), yours, gap) is expected


def test_a_budget_is_not_spent_whole():
    assert escalation.seconds_for(300) == pytest.approx(200)
    assert escalation.seconds_for(float("inf")) == escalation.UNBOUNDED


@pytest.mark.parametrize("splits", [True, False])
def test_a_fine_tuned_model_answers_for_the_held_out_images_only(tmp_path, monkeypatch, splits):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for name, colour in (("red", (200, 40, 40)), ("blue", (40, 40, 200))):
        for i in range(24):
            part = ("train" if i < 16 else "val") if splits else "."
            folder = tmp_path / "data" / part / name
            folder.mkdir(parents=True, exist_ok=True)
            pixels = np.clip(np.array(colour) + rng.integers(-40, 40, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    dataset = read(tmp_path / "data")
    n = len(dataset)
    context = Context(
        dataset=dataset,
        statistics=np.zeros(n, dtype=STATISTICS),
        embeddings={"tiny": rng.normal(size=(n, 4)).astype(np.float32)},
    )
    vars(context)["duplicates"] = np.arange(n)
    stronger = escalation.fine_tuned(context, 3.0, model="lenet", device="cpu", offline=True)
    asked = np.flatnonzero(stronger.predicted >= 0)
    expected = context.held_out if splits else np.flatnonzero(context.folds == 0)
    assert asked.tolist() == expected.tolist()
    right = (stronger.predicted[asked] == context.labels[asked]).mean()
    assert stronger.control.accuracy.value == right
    assert right > 0.8
