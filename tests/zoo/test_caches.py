"""What is kept between runs is counted, and shrunk from what was used longest ago."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from zoo import caches
from zoo.probe_cache import cached_probe
from zoo.store import Table


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of 100 features, used in 2001, and a probe, used now."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    table = Table(tmp_path / "features" / "lenet5-0123456789abcdef", np.dtype(("<f2", (8,))))
    table.append(np.arange(200, dtype=np.uint64).reshape(-1, 2), np.zeros((100, 8), dtype=np.float16))
    (table.folder / "used").touch()
    os.utime(table.folder / "used", (10**9, 10**9))
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    cached_probe(rng.normal(size=(60, 8)).astype(np.float16), y, 3, folds=np.arange(60) % 5)
    return tmp_path


def sizes() -> dict[str, int]:
    own = next(one for one in caches.caches() if one.name == "zoovet")
    return dict(own.content)


def test_features_and_fitted_probes_are_counted(folder: Path) -> None:
    (probe,) = (folder / "probes").glob("*.npz")
    assert sizes() == {"features of lenet5": 100 * (16 + 16) + 32, "fitted probes": probe.stat().st_size}


def test_pruning_takes_what_was_used_longest_ago_first(folder: Path) -> None:
    removed = caches.prune(sizes()["fitted probes"])
    assert [one.folder.name for one in removed] == ["lenet5-0123456789abcdef"]
    assert list(sizes()) == ["fitted probes"]


def test_pruning_to_nothing_removes_the_fitted_probes_too(folder: Path) -> None:
    (probe,) = (folder / "probes").glob("*.npz")
    os.utime(probe, (10**8, 10**8))
    assert [one.folder.name for one in caches.prune(sizes()["features of lenet5"])] == ["probes"]
    caches.prune(0)
    assert sizes() == {}


def test_a_size_is_read_with_or_without_its_unit() -> None:
    assert [caches.parse_size(text) for text in ("12", "500M", "1.5 GB", "2gib")] == [
        12,
        5 * 10**8,
        15 * 10**8,
        2 * 10**9,
    ]
