"""Every data check fires on its planted fault at two severities, and is silent on the healthy twin."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from diagnose.check import DATA_CHECKS
from diagnose.findings import Outcome
from diagnose.groupings import groupings
from diagnose.learning_curve import LearningCurve, learning_curve
from tests import faults

FAULTS = {
    "unreadable-files": [faults.truncated(faults.healthy(), share) for share in (0.03, 0.2)],
    "image-quality": [faults.darkened(faults.healthy(), share) for share in (0.04, 0.15)],
    "split-leakage": [faults.leaked(faults.healthy(), share)[0] for share in (0.06, 0.2)],
    "conflicting-duplicates": [faults.conflicting(faults.healthy(), share) for share in (0.03, 0.1)],
    "group-leakage": [faults.bursts(size) for size in (4, 10)],
    "class-imbalance": [faults.rare(faults.healthy(0, 900), kept) for kept in (6, 3)],
    "split-shift": [faults.shifted(faults.healthy(), strength) for strength in (0.6, 0.9)],
    "off-topic": [faults.strangers(faults.healthy(), share) for share in (0.04, 0.12)],
    "shortcut": [
        faults.with_patches(faults.healthy(0, 900), share, part) for share, part in ((1.0, "train"), (1.0, "all"))
    ],
    "label-names": [faults.misspelt(faults.healthy(), share) for share in (0.2, 0.5)],
    "too-few-images": [faults.healthy(0, count, splits=False) for count in (100, 130)],
}
CASES = [(cause, number) for cause in FAULTS for number in (0, 1)]


def check_of(cause):
    return next(check() for check in DATA_CHECKS.values() if cause in check.causes)


@pytest.mark.parametrize(("cause", "severity"), CASES, ids=[f"{cause}-{number}" for cause, number in CASES])
def test_a_planted_fault_is_found(cause, severity):
    context = FAULTS[cause][severity].context()
    found = {finding.cause: finding for finding in check_of(cause).run(context)}
    assert found[cause].outcome is Outcome.FAIL, found[cause].message
    assert found[cause].remedy


@pytest.mark.parametrize("name", list(DATA_CHECKS))
@pytest.mark.parametrize("splits", [True, False], ids=["split", "whole"])
def test_the_healthy_twin_does_not_fail(name, splits):
    context = twin(splits)
    for finding in DATA_CHECKS[name]().run(context):
        assert finding.outcome is not Outcome.FAIL, finding.message


_TWINS = {}


def twin(splits):
    """One context for all checks: what it computes is kept."""
    if splits not in _TWINS:
        _TWINS[splits] = faults.healthy(splits=splits).context()
    return _TWINS[splits]


def test_a_mark_that_no_model_sees_is_a_remark():
    """The corner tells every label, and the features are blind to it: whatever lies there, predictions stay."""
    context = faults.with_patches(faults.healthy(0, 900), 1.0, "all").context()

    def blind(images):
        middles = [image.resize((48, 48)).crop((14, 14, 40, 40)) for image in images]
        return {"tiny": np.array([np.asarray(m.convert("L").resize((13, 13))).ravel() for m in middles], dtype=float)}

    whole = [context.pictures.open(path) for path in context.paths]
    pictures = replace(context.pictures, embed=blind)
    [found] = check_of("shortcut").run(replace(context, embeddings=blind(whole), pictures=pictures, _kept={}))
    assert found.outcome is Outcome.REVIEW
    assert found.points is None
    lost = [e for e in found.evidence if e.statistic == "accuracy lost where the corner colour is another class's"]
    assert [e.value for e in lost] == [0.0]


def test_a_frame_that_tells_no_more_than_the_middle_is_part_of_what_is_shown():
    """Each class on paper of its own colour: border and corners tell the label, and so does everything else."""
    world = faults.healthy(0, 600)
    colours = np.random.default_rng(1).integers(0, 120, (10, 3))
    tinted = {
        position: faults.encode(Image.fromarray(np.uint8(np.asarray(world.picture(position)) // 2 + colours[label])))
        for position, label in enumerate(world.labels)
    }
    [found] = check_of("shortcut").run(world.with_files(tinted).context())
    told = {e.statistic: e.value for e in found.evidence}
    assert told["label from corner colour"] > 0.9
    assert not [name for name in told if "is another class's" in name and ("corner" in name or "border" in name)]


def test_a_mark_is_no_fault_where_there_are_no_pictures_to_try_it_on():
    context = faults.with_patches(faults.healthy(0, 900), 1.0, "all").context()
    [found] = check_of("shortcut").run(replace(context, pictures=None, _kept={}))
    assert found.outcome is Outcome.REVIEW


def test_the_points_of_leaked_copies_are_those_of_the_whole_films():
    """Frames that are copies give the films away; then all frames of a film count, copies or not."""
    context = faults.bursts(10).context()
    film = np.array([path.split("film")[1].split("_")[0] for path in context.paths])
    copies = np.arange(len(film))
    for name in np.unique(film):
        copies[np.flatnonzero(film == name)[:2]] = np.flatnonzero(film == name)[0]
    vars(context)["duplicates"] = np.unique(copies, return_inverse=True)[1]
    leak = next(f for f in DATA_CHECKS["duplicates"]().run(context) if f.cause == "split-leakage")
    assert "frames of groups by file names" in leak.message
    right = np.zeros(len(film), dtype=bool)
    for part in np.array_split(np.random.default_rng(0).permutation(np.unique(film)), 4):
        test = np.isin(film, part)
        right[test] = context.fit_predict(np.flatnonzero(~test), np.flatnonzero(test)) == context.labels[test]
    measured = context.correct("tiny")[context.held_out].mean() - right[context.held_out].mean()
    low, high = leak.points.interval
    assert low <= measured <= high
    assert measured > 0.1


@pytest.mark.parametrize("strength", [0.4, 0.9])
def test_held_out_pictures_by_another_camera_are_no_groups_by_the_order_of_the_files(strength):
    context = faults.shifted(faults.healthy(), strength).context()
    assert "the order of the files" not in [grouping.name for grouping in groupings(context)]


def test_films_are_found_whose_frames_a_split_put_into_folders_of_its_own():
    context = faults.bursts(6).context()
    unnamed = [f"{s.split}/{i:04}.png" for i, s in enumerate(context.dataset.samples)]
    samples = tuple(replace(s, path=p) for s, p in zip(context.dataset.samples, unnamed, strict=True))
    order = np.argsort([path.split("film")[1] for path in context.paths])
    assert (np.diff(order) == 1).mean() > 0.5  # the frames of a film stand beside each other
    context = replace(context, dataset=replace(context.dataset, samples=samples))
    (finding,) = DATA_CHECKS["group-leakage"]().run(context)
    assert finding.outcome is Outcome.FAIL
    assert "order of the files" in finding.message


def test_films_that_the_split_keeps_together_are_healthy():
    world = faults.bursts(6)
    film = [path.split("film")[1].split("_")[0] for path in world.paths]
    first = dict(zip(film, world.splits, strict=True))
    kept = [i for i, name in enumerate(film) if world.splits[i] == first[name]]
    context = faults.subset(world, kept).context()
    (finding,) = DATA_CHECKS["group-leakage"]().run(context)
    assert finding.outcome is not Outcome.FAIL


def test_most_leaked_pictures_are_named():
    world, rows = faults.leaked(faults.healthy(), 0.2)
    context = world.context()
    held_out = {world.paths[row] for row in rows}
    finding = next(f for f in DATA_CHECKS["duplicates"]().run(context) if f.cause == "split-leakage")
    named = {path for example in finding.examples for path in (example.path, *example.related)}
    assert len(held_out & named) >= 0.75 * min(len(held_out), 50)


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("cat", "Cat ", "same"),
        ("t-shirt", "T_Shirt", "same"),
        ("café", "cafe", "same"),
        ("trouser", "trousers", "near"),
        ("shrit", "shirt", "near"),
        ("cat", "bat", None),
        ("class 1", "class 2", None),
        ("1", "11", None),
        ("shirt", "skirt", "near"),
    ],
)
def test_names_are_compared_without_their_dress_and_with_one_slip(first, second, kind):
    same, near = DATA_CHECKS["label-names"]().alike((first, second))
    assert ("same" if same else "near" if near else None) == kind


def test_classes_one_letter_apart_that_the_images_tell_apart_are_two_classes():
    """Merging classes that are hard to tell apart wins accuracy whatever they are called."""
    world = faults.healthy(0, 900)
    rng = np.random.default_rng(0)
    mixed = rng.permutation(np.flatnonzero(np.isin(world.labels, [3, 5])))[:50]
    labels = world.labels.copy()
    labels[mixed] = 8 - labels[mixed]
    names = ("zero", "one", "two", "shirt", "four", "t-shirt", "six", "seven", "eight", "nine")
    told_apart = replace(world, labels=labels, classes=names)
    assert check_of("label-names").run(told_apart.context())[0].outcome is Outcome.PASS


def test_classes_one_letter_apart_that_are_one_class_are_found():
    world = faults.healthy(0, 900)
    rows = np.flatnonzero(np.isin(world.labels, [3, 5]))
    labels = world.labels.copy()
    labels[rows] = np.random.default_rng(0).choice([3, 5], len(rows))
    names = ("zero", "one", "two", "shirt", "four", "shirrt", "six", "seven", "eight", "nine")
    [found] = check_of("label-names").run(replace(world, labels=labels, classes=names).context())
    assert found.outcome is Outcome.FAIL
    assert found.points.value > 0.05


@pytest.mark.parametrize("each", [6, 8, 12])
def test_a_few_pictures_a_class_are_called_too_few(each):
    world = faults.rare(faults.healthy(0, 900), each, classes=range(10))
    [found] = check_of("too-few-images").run(world.context())
    assert found.outcome is Outcome.FAIL, found.message
    assert found.points.interval[0] > 0


@pytest.mark.parametrize("error", [lambda n: 2.0 * n**-0.5, lambda n: 0.6 * (n / 20) ** -0.3])
def test_a_curve_that_is_a_power_law_is_carried_on_almost_as_it_is(error):
    sizes = np.array([20, 40, 60, 80])
    curve = LearningCurve(sizes=sizes, errors=np.tile(error(sizes), (5, 1)), held_out=400, spread=0.01)
    gain = curve.gain_from_doubling()
    true = error(80) - error(160)
    assert gain.value == pytest.approx(true, rel=0.2)
    assert gain.interval[0] < true < gain.interval[1]
    assert curve.needed(float(error(160))) == pytest.approx(160, rel=0.2)


def test_a_flat_curve_wins_nothing_that_is_sure_and_reaches_no_target():
    errors = 0.3 + np.random.default_rng(0).normal(0, 0.02, (20, 4))
    curve = LearningCurve(sizes=np.array([20, 40, 60, 80]), errors=errors, held_out=400, spread=0.01)
    assert curve.gain_from_doubling().interval[0] < 0
    assert curve.needed(0.05) is None


@pytest.mark.parametrize("each", [2, 3, 4])
def test_of_few_pictures_every_size_of_the_curve_is_another_one(each):
    curve = learning_curve(faults.rare(faults.healthy(0, 900), each, classes=range(10)).context())
    assert list(curve.sizes) == [10 * count for count in range(1, each + 1)]
    assert len(curve.errors) == 20


@pytest.mark.parametrize("seed", range(6))
def test_pictures_that_twice_as_many_would_help_little_are_enough(seed):
    for finding in check_of("too-few-images").run(faults.healthy(seed, 600).context()):
        assert finding.outcome is not Outcome.FAIL, finding.message
