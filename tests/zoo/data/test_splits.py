from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.data import Dataset, Sample, Split, split
from zoo.data.shuffle import units
from zoo.errors import DataError


def dataset(samples: list[Sample], **options: object) -> Dataset:
    classes = tuple(f"c{i}" for i in range(max((s.label for s in samples), default=-1) + 1))
    return Dataset(root=Path("data"), samples=tuple(samples), classes=classes, **options)  # type: ignore[arg-type]


def plain(*counts: int) -> Dataset:
    return dataset([Sample(path=f"c{c}/{i:05d}.png", label=c) for c, n in enumerate(counts) for i in range(n)])


def counts(data: Dataset, part: Split) -> Counter[int]:
    return Counter(data.samples[i].label for i in data.indices(part))


def assigned(data: Dataset) -> dict[str, Split | None]:
    return {s.path: s.split for s in data.samples}


samples = st.lists(
    st.tuples(st.integers(0, 4), st.one_of(st.none(), st.integers(0, 8)), st.integers(-1, 12)), min_size=1, max_size=80
)


@settings(max_examples=200, deadline=None)
@given(drawn=samples, seed=st.integers(-(2**40), 2**40), fraction=st.floats(0.05, 0.6))
def test_no_group_straddles_and_every_class_keeps_training(
    drawn: list[tuple[int, int | None, int]], seed: int, fraction: float
) -> None:
    data = dataset(
        [Sample(path=f"{i}.png", label=c, group=None if g is None else str(g)) for i, (c, g, _) in enumerate(drawn)]
    )
    near = np.array([d for _, _, d in drawn])
    done = split(data, seed=seed, val_fraction=fraction, groups=near)
    assert [s.split in ("train", "val") for s in done.samples] == [True] * len(drawn)
    for key in (lambda i: drawn[i][1], lambda i: drawn[i][2] if drawn[i][2] >= 0 else None):
        sides: dict[object, set[object]] = {}
        for i, sample in enumerate(done.samples):
            if key(i) is not None:
                sides.setdefault(key(i), set()).add(sample.split)
        assert all(len(side) == 1 for side in sides.values())
    assert set(counts(done, "train")) == {c for c, _, _ in drawn}


@settings(max_examples=60, deadline=None)
@given(drawn=samples, seed=st.integers(0, 100), order=st.randoms(use_true_random=False))
def test_the_order_of_the_samples_does_not_matter(
    drawn: list[tuple[int, int | None, int]], seed: int, order: random.Random
) -> None:
    listed = [
        Sample(path=f"{i}.png", label=c, group=None if g is None else str(g)) for i, (c, g, _) in enumerate(drawn)
    ]
    near = np.array([d for _, _, d in drawn])
    places = list(range(len(listed)))
    order.shuffle(places)
    one = split(dataset(listed), seed=seed, groups=near)
    other = split(dataset([listed[i] for i in places]), seed=seed, groups=near[places])
    assert assigned(one) == assigned(other)


@settings(max_examples=100, deadline=None)
@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6), seed=st.integers(0, 1000))
def test_each_class_gives_its_share_exactly_where_there_are_no_groups(sizes: list[int], seed: int) -> None:
    done = split(plain(*sizes), seed=seed)
    for c, n in enumerate(sizes):
        assert counts(done, "val")[c] == (0 if n == 1 else min(max(round(0.2 * n), 1), n - 1))


def test_the_share_may_be_chosen() -> None:
    assert len(split(plain(100, 100), seed=0, val_fraction=0.35).indices("val")) == 70


@pytest.mark.parametrize("fraction", [0, 1, -0.2, 1.5])
def test_a_share_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        split(plain(10), seed=0, val_fraction=fraction)


def test_groups_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must have shape \(10,\)"):
        split(plain(10), seed=0, groups=np.zeros(9, dtype=np.int64))


def test_the_seed_decides() -> None:
    data = plain(200, 200)
    assert assigned(split(data, seed=1)) == assigned(split(data, seed=1))
    assert assigned(split(data, seed=1)) != assigned(split(data, seed=2))


def test_the_choice_is_even_over_the_paths() -> None:
    """Over many seeds each image is chosen about as often as any other: binomial, 400 draws at 0.2."""
    data = plain(50)
    often = Counter(i for seed in range(400) for i in split(data, seed=seed).indices("val").tolist())
    assert set(often) == set(range(50))
    assert all(abs(often[i] - 80) < 4.5 * 8 for i in range(50))


def test_new_images_hardly_move_the_others() -> None:
    before, after = assigned(split(plain(1000), seed=0)), assigned(split(plain(1010), seed=0))
    assert sum(before[p] != after[p] for p in before) <= 4


def test_the_choice_is_the_same_on_every_machine_and_in_every_process() -> None:
    """Written down once: a change here changes the splits that people have."""
    code = (
        "from tests.zoo.data.test_splits import plain; from zoo.data import split;"
        "print(split(plain(12, 12), seed=7).indices('val').tolist())"
    )
    for hash_seed in ("0", "123"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": hash_seed, "PATH": "", "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        assert done.stdout.strip() == "[2, 4, 20, 22]"


def test_splitting_what_is_split_changes_nothing() -> None:
    done = split(plain(1, 2, 50), seed=0)
    assert done.warnings
    assert split(done, seed=1) == done


def test_given_splits_are_kept() -> None:
    listed = [Sample(path=f"{i}", label=i % 2, split=("train", "val", "test")[i % 3]) for i in range(30)]  # type: ignore[arg-type]
    data = dataset(listed, given_splits=True)
    assert split(data, seed=0, groups=np.zeros(30, dtype=np.int64)).samples == data.samples


def test_validation_is_taken_from_training_where_only_test_is_given() -> None:
    listed = [Sample(path=f"{i:03d}", label=i % 2, split="test" if i < 20 else "train") for i in range(120)]
    done = split(dataset(listed, given_splits=True), seed=0)
    assert [s.split for s in done.samples[:20]] == ["test"] * 20
    assert counts(done, "val") == {0: 10, 1: 10}


def test_groups_are_kept_where_validation_is_taken_from_training() -> None:
    listed = [Sample(path=f"{i:03d}", label=0, split="test" if i < 10 else "train") for i in range(110)]
    near = np.arange(110) // 5
    done = split(dataset(listed, given_splits=True), seed=0, groups=near)
    val = {near[i] for i in done.indices("val")}
    assert len(done.indices("val")) == 20
    assert val.isdisjoint(near[i] for i in done.indices("train"))


def test_no_training_images_are_an_error_that_says_what_to_do() -> None:
    data = dataset([Sample(path="a", label=0, split="test"), Sample(path="b", label=1, split="val")], given_splits=True)
    with pytest.raises(DataError, match="zoo evaluate"):
        split(data, seed=0)


def test_large_groups_do_not_leave_validation_empty() -> None:
    """Three patients, 40 images each: none fits into 20 %, one is taken all the same."""
    data = dataset([Sample(path=f"{i:03d}", label=i % 2, group=f"patient {i % 3}") for i in range(120)])
    done = split(data, seed=0)
    assert len(done.indices("val")) == 40
    assert done.warnings == ()


def test_a_class_in_one_group_stays_in_training_and_is_said() -> None:
    listed = [Sample(path=f"a{i}", label=0, group="one film") for i in range(20)]
    listed += [Sample(path=f"b{i}", label=1) for i in range(20)]
    done = split(dataset(listed), seed=0)
    assert counts(done, "val") == {1: 4}
    assert any("'c0'" in w and "not measured by a split" in w for w in done.warnings)


def test_a_class_of_one_image_trains_and_a_class_of_two_is_divided() -> None:
    done = split(plain(1, 2, 50), seed=0)
    assert counts(done, "train") == {0: 1, 1: 1, 2: 40}
    assert counts(done, "val") == {1: 1, 2: 10}


def test_copies_are_not_preferred_for_validation() -> None:
    """Half of the images come in fives; validation must hold about as many of these as training does."""
    near = np.concatenate([np.arange(500) // 5, np.full(500, -1)])
    shares = []
    for seed in range(20):
        done = split(plain(1000), seed=seed, groups=near)
        val = done.indices("val")
        shares.append(np.mean(val < 500))
        assert abs(len(val) - 200) <= 4
    assert abs(float(np.mean(shares)) - 0.5) < 0.06


def test_scenes_with_many_classes_are_divided_in_their_share() -> None:
    rng = np.random.default_rng(0)
    near = np.repeat(np.arange(200), 10)
    listed = [Sample(path=f"{i:05d}", label=int(c)) for i, c in enumerate(rng.integers(0, 8, 2000))]
    done = split(dataset(listed), seed=0, groups=near)
    total, val = Counter(s.label for s in listed), counts(done, "val")
    assert 340 <= sum(val.values()) <= 400
    assert all(0.12 <= val[c] / total[c] <= 0.21 for c in total)


def test_images_without_a_label_are_not_used_for_validation() -> None:
    listed = [Sample(path=f"{i}", label=-1 if i < 10 else 0) for i in range(60)]
    done = split(dataset(listed), seed=0)
    assert -1 not in counts(done, "val")
    assert len(done.indices("val")) == 10


@pytest.mark.slow
def test_a_hundred_thousand_images_take_seconds() -> None:
    data = plain(*[1000] * 100)
    near = np.random.default_rng(0).integers(0, 50_000, len(data))
    start = time.process_time()
    done = split(data, seed=0, groups=near)
    assert time.process_time() - start < 10
    assert 15_000 < len(done.indices("val")) <= 20_000


@settings(max_examples=200, deadline=None)
@given(
    one=st.lists(st.integers(-1, 12), min_size=1, max_size=40),
    other=st.lists(st.integers(-1, 12), min_size=40, max_size=40),
)
def test_units_are_the_connected_components(one: list[int], other: list[int]) -> None:
    """Reference: SciPy's connected components on the same graph."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n, labellings = len(one), [np.array(one), np.array(other[: len(one)])]
    edges = [(i, j) for la in labellings for i in range(n) for j in range(n) if la[i] == la[j] >= 0]
    rows, columns = [i for i, _ in edges], [j for _, j in edges]
    graph = coo_matrix((np.ones(len(edges)), (rows, columns)), shape=(n, n))
    expected = connected_components(graph, directed=False)[1]
    got = units(n, *labellings)
    assert (
        len(set(zip(got.tolist(), expected.tolist(), strict=True)))
        == len(set(got.tolist()))
        == len(set(expected.tolist()))
    )
    assert got[np.unique(got, return_index=True)[1]].tolist() == sorted(set(got.tolist()))


def test_units_of_long_chains_are_found() -> None:
    n = 20_001
    one, other = np.arange(n) // 2, (np.arange(n) + 1) // 2
    assert units(n, one, other).max() == 0
