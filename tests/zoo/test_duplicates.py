"""Copies are found, look-alikes are not."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests import faults
from zoo.duplicates import copies, duplicate_groups, merge, near_hashes
from zoo.neighbours import nearest, reduce
from zoo.registration import _coarse, _hypotheses, _resampling, mismatch
from zoo.statistics import STATISTICS


def photograph(rng, size=64):
    """Something with structure at several scales."""
    total = np.zeros((size, size, 3))
    for cells in (3, 6, 12, 24):
        noise = Image.fromarray(np.uint8(rng.integers(0, 256, (cells, cells, 3))))
        total += np.asarray(noise.resize((size, size), Image.Resampling.BICUBIC), dtype=float) / cells
    total -= total.min()
    return Image.fromarray(np.uint8(255 * total / total.max()))


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    originals = [photograph(rng) for _ in range(60)]
    ways = {
        "exact": lambda i: i,
        "resized": faults.resized,
        "reencoded": faults.reencoded,
        "cropped": lambda i: faults.cropped(i, rng),
        "flipped": ImageOps.mirror,
        "turned": lambda i: i.rotate(90),
    }
    copied = [(way, k, change(original)) for way, change in ways.items() for k, original in enumerate(originals[:30])]
    looked = [faults._look(faults.encode(image)) for image in [*originals, *(image for _, _, image in copied)]]
    statistics = np.array([record for record, _ in looked], dtype=STATISTICS)
    return statistics, np.array([feature for _, feature in looked]), [(way, k) for way, k, _ in copied]


def test_planted_copies_are_found_and_nothing_else(pictures):
    statistics, features, copied = pictures
    groups = duplicate_groups(statistics, features)
    found = [groups[60 + i] == groups[k] for i, (_, k) in enumerate(copied)]
    assert np.mean(found) >= 0.98
    assert len(np.unique(groups[:60])) == 60  # no two originals are joined


def test_without_features_all_but_crops_are_found(pictures):
    statistics, _, copied = pictures
    groups = duplicate_groups(statistics)
    found = {way: [] for way, _ in copied}
    for i, (way, k) in enumerate(copied):
        found[way].append(groups[60 + i] == groups[k])
    for way in ("exact", "resized", "reencoded", "flipped", "turned"):
        assert np.mean(found[way]) >= 0.98, way


def test_flat_pictures_are_copies_only_where_their_pixels_are_equal():
    shades = [faults._look(faults.encode(Image.new("RGB", (64, 64), (k, k, k))))[0] for k in (10, 10, 90, 200)]
    groups = duplicate_groups(np.array(shades, dtype=STATISTICS))
    assert groups.tolist() == [0, 0, 1, 2]


def test_no_pictures_have_no_copies():
    assert copies(np.zeros(0, dtype=STATISTICS)).shape == (0, 2)
    assert duplicate_groups(np.zeros(0, dtype=STATISTICS)).shape == (0,)


def test_near_hashes_finds_exactly_what_comparing_all_pairs_finds():
    rng = np.random.default_rng(1)
    plain = rng.integers(0, 2**63, 300, dtype=np.uint64)
    for k in range(0, 100, 2):  # pairs that are 0 to 8 bits apart
        flips = rng.permutation(64)[: k % 9].astype(np.uint64)
        plain[k + 1] = plain[k] ^ np.bitwise_or.reduce(np.uint64(1) << flips, initial=np.uint64(0))
    hashes = np.repeat(plain[:, None], 8, axis=1)
    found = {tuple(pair) for pair in near_hashes(hashes, 7).tolist()}
    expected = {
        (i, j) for i in range(len(plain)) for j in range(i + 1, len(plain)) if int(plain[i] ^ plain[j]).bit_count() <= 7
    }
    assert found == expected
    assert len(expected) > 30


def test_merging_gives_the_connected_components():
    pairs = np.array([[0, 3], [3, 5], [6, 7]])
    assert merge(np.arange(8), pairs).tolist() == [0, 1, 2, 0, 3, 0, 4, 4]
    assert merge(np.array([0, 0, 1, 1]), np.array([[1, 2]])).tolist() == [0, 0, 0, 0]
    chain = np.stack([np.arange(999), np.arange(1, 1000)], axis=1)
    assert not merge(np.arange(1000), chain).any()


def test_a_crop_lies_on_its_picture_and_another_picture_does_not():
    rng = np.random.default_rng(2)
    first, second = (np.asarray(photograph(rng).convert("L").resize((32, 32)), dtype=np.float32) for _ in range(2))
    whole = photograph(rng)
    part = whole.crop((3, 4, 61, 62))
    grey, cut = (np.asarray(image.convert("L").resize((32, 32)), dtype=np.float32) for image in (whole, part))
    left = mismatch(np.stack([first, grey, cut]), np.stack([second, cut, grey]))
    assert left[0] > 1
    assert (left[1:] < 0.3).all()


@pytest.mark.parametrize("kept", [0.82, 0.87, 0.9, 0.95])
def test_crops_of_any_size_down_to_four_fifths_are_found(kept):
    rng = np.random.default_rng(3)
    whole = [photograph(rng) for _ in range(40)]
    side = round(64 * kept)
    corners = rng.integers(0, 64 - side + 1, (40, 2)).tolist()
    parts = [
        image.crop((left, top, left + side, top + side)) for image, (left, top) in zip(whole, corners, strict=True)
    ]
    grey, cut = (
        np.stack([np.asarray(i.convert("L").resize((32, 32)), dtype=np.float32) for i in images])
        for images in (whole, parts)
    )
    assert (mismatch(grey, cut) < 0.3).mean() >= 0.95
    assert (mismatch(cut, grey) < 0.3).mean() >= 0.95
    assert (mismatch(grey, np.roll(cut, 1, axis=0)) > 0.3).all()


@pytest.mark.parametrize("side", [8, 16])
def test_the_coarse_search_finds_what_correlating_every_window_finds(side):
    rng = np.random.default_rng(5)
    whole, part = (p - p.mean(axis=(1, 2), keepdims=True) for p in rng.normal(0, 30, (2, 6, side, side)))
    found, which = _coarse(np.float32(whole), np.float32(part))
    for k in range(6):
        expected = [
            np.corrcoef((_resampling(side, s, top) @ whole[k] @ _resampling(side, s, left).T).ravel(), part[k].ravel())
            for s, top, left in _hypotheses().tolist()
        ]
        agreement = [table[0, 1] for table in expected]
        assert which[k] == np.argmax(agreement)
        assert found[k] == pytest.approx(max(agreement), abs=1e-3)


def test_neighbours_are_those_of_all_pairs():
    x = np.random.default_rng(3).normal(size=(50, 12)).astype(np.float32)
    found = nearest(x, 4)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -2)
    assert np.array_equal(found.index, np.argsort(-similarity, axis=1)[:, :4])
    assert np.allclose(found.distance, 1 - np.sort(similarity, axis=1)[:, ::-1][:, :4], atol=1e-5)


def test_fewer_pictures_than_neighbours_leave_gaps():
    found = nearest(np.eye(3, dtype=np.float32), 5)
    assert (found.index[:, 2:] == -1).all()
    assert (found.distance[:, 2:] == 2).all()


def test_reducing_keeps_the_distances_that_matter():
    rng = np.random.default_rng(4)
    x = (rng.normal(size=(400, 20)) @ rng.normal(size=(20, 300))).astype(np.float16)
    small = reduce(x, rank=20)
    a, b = x.astype(np.float64)[:50], small.astype(np.float64)[:50]
    apart = [np.linalg.norm(m[:, None] - m[None], axis=2) for m in (a, b)]
    assert np.allclose(apart[0], apart[1], rtol=0.02, atol=0.05)
