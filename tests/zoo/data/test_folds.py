from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.data import Dataset, Sample, Split, choose_validation, folds, split


def table(labels: np.ndarray, fold: np.ndarray, k: int) -> np.ndarray:
    counts = np.zeros((labels.max() + 1, k), dtype=int)
    np.add.at(counts, (labels, fold), 1)
    return counts


@settings(max_examples=200, deadline=None)
@given(
    drawn=st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 15)), max_size=100),
    k=st.integers(2, 8),
    seed=st.integers(-5, 2**40),
)
def test_no_group_is_divided_and_every_fold_number_is_valid(drawn: list[tuple[int, int]], k: int, seed: int) -> None:
    labels, groups = (np.array([d[i] for d in drawn], dtype=np.int64) for i in (0, 1))
    fold = folds(labels, groups, k, seed)
    assert fold.shape == labels.shape
    assert set(fold.tolist()) <= set(range(k))
    for group in set(groups[groups >= 0].tolist()):
        assert len(set(fold[groups == group].tolist())) == 1
    assert np.array_equal(fold, folds(labels, groups, k, seed))


@settings(max_examples=200, deadline=None)
@given(labels=st.lists(st.integers(0, 5), min_size=1, max_size=120), k=st.integers(2, 8), seed=st.integers(0, 100))
def test_without_groups_classes_and_folds_are_as_even_as_can_be(labels: list[int], k: int, seed: int) -> None:
    counts = table(np.array(labels), folds(np.array(labels), None, k, seed), k)
    assert (counts.max(axis=1) - counts.min(axis=1)).max() <= 1
    sizes = counts.sum(axis=0)
    assert sizes.max() - sizes.min() <= 1


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.lists(st.integers(1, 6), min_size=5, max_size=20), min_size=1, max_size=4),
    k=st.integers(2, 5),
    seed=st.integers(0, 100),
)
def test_a_class_of_enough_groups_is_in_every_fold(sizes: list[list[int]], k: int, seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), [sum(s) for s in sizes])
    groups = np.repeat(np.arange(sum(map(len, sizes))), [n for s in sizes for n in s])
    counts = table(labels, folds(labels, groups, k, seed), k)
    assert counts.min() >= 1
    for row, groups_of in zip(counts, sizes, strict=True):
        assert row.max() - row.min() <= 2 * max(groups_of)


def test_the_seed_decides() -> None:
    labels = np.repeat([0, 1], 100)
    assert not np.array_equal(folds(labels, None, 5, 0), folds(labels, None, 5, 1))


def test_the_folds_are_the_same_on_every_machine() -> None:
    """Written down once: a change here changes the results that people have."""
    labels = np.array([0] * 6 + [1] * 6)
    groups = np.array([-1, -1, 0, 0, -1, -1, 0, 1, 1, -1, -1, -1])
    assert folds(labels, groups, 3, 7).tolist() == [1, 2, 0, 0, 2, 1, 0, 1, 1, 2, 2, 0]


def test_small_groups_balance_what_large_groups_leave() -> None:
    labels = np.zeros(100, dtype=np.int64)
    groups = np.concatenate([np.zeros(15), np.full(85, -1)]).astype(np.int64)
    assert table(labels, folds(labels, groups, 5, 0), 5).tolist() == [[20] * 5]


def test_groups_of_several_classes_are_balanced_like_scikit_learns() -> None:
    """Reference: StratifiedGroupKFold. The spread of a class over the folds must not be worse."""
    from sklearn.model_selection import StratifiedGroupKFold

    rng = np.random.default_rng(0)
    labels = rng.choice(6, 1500, p=[0.5, 0.2, 0.15, 0.1, 0.03, 0.02])
    groups = rng.integers(0, 150, 1500)
    theirs = np.empty(1500, dtype=int)
    for number, (_, test) in enumerate(StratifiedGroupKFold(5).split(labels, labels, groups)):
        theirs[test] = number

    def spread(fold: np.ndarray) -> float:
        counts = table(labels, fold, 5)
        return float((counts.std(axis=1) / counts.mean(axis=1)).mean())

    assert spread(folds(labels, groups, 5, 0)) <= spread(theirs) + 0.05


def test_more_folds_than_images_leave_some_empty() -> None:
    assert sorted(folds(np.array([0, 0, 1]), None, 5, 0).tolist()) == sorted(
        set(folds(np.array([0, 0, 1]), None, 5, 0))
    )


def test_no_images_have_no_folds() -> None:
    assert folds(np.empty(0, dtype=np.int64), None, 5, 0).shape == (0,)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        folds(np.array([0, 1]), None, 1, 0)
    with pytest.raises(ValueError, match="must have shape"):
        folds(np.array([0, 1]), np.array([0]), 2, 0)


def data(counts: list[int], *, splits: tuple[Split | None, ...] = (None,), given_splits: bool = False) -> Dataset:
    listed = [
        Sample(path=f"{c}/{i}", label=c, split=splits[i % len(splits)]) for c, n in enumerate(counts) for i in range(n)
    ]
    classes = tuple(f"c{i}" for i in range(len(counts)))
    return Dataset(root=Path("data"), samples=tuple(listed), classes=classes, given_splits=given_splits)


@pytest.mark.parametrize(("counts", "expected"), [([5, 40], 0), ([4, 40], 5), ([1, 40], 5), ([100, 100], 0)])
def test_fewer_than_five_images_in_a_class_call_for_cross_validation(counts: list[int], expected: int) -> None:
    got = choose_validation(data(counts))
    assert got.folds == expected
    assert f"'c0', has {counts[0]} image" in got.reason


def test_images_for_testing_do_not_count() -> None:
    assert choose_validation(data([8, 80], splits=("train", "test"), given_splits=True)).folds == 5


def test_validation_images_that_split_took_from_training_do_not_count_as_given() -> None:
    done = split(data([6, 80], splits=("train", "test"), given_splits=True), seed=0)
    assert len(done.indices("val"))
    assert choose_validation(done).folds == 5
    assert choose_validation(split(done, seed=0)).folds == 5


def test_given_validation_images_are_used_however_few() -> None:
    assert choose_validation(data([4, 4], splits=("train", "val"), given_splits=True)).folds == 0


def test_no_labelled_images_are_no_reason_to_fold() -> None:
    assert choose_validation(data([3, 3], splits=("test",), given_splits=True)).folds == 0
