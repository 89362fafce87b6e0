"""Probes that were fitted before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zoo import probe_cache
from zoo.probe import Probe
from zoo.probe_cache import cached_probe


@pytest.fixture(autouse=True)
def fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A cache of the test's own, and a note of every fit."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    noted: list[int] = []
    real = probe_cache.probe

    def counting(x: np.ndarray, *args: object, **options: object) -> Probe:
        noted.append(len(x))
        return real(x, *args, **options)

    monkeypatch.setattr(probe_cache, "probe", counting)
    return noted


def fitted(seed: int = 0, **changes: object) -> Probe:
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(3), 20)
    x = (rng.normal(size=(60, 8)) + y[:, None]).astype(np.float16)
    arguments = {"x": x, "y": y, "num_classes": 3, "folds": np.arange(60) % 5, **changes}
    return cached_probe(**arguments)


def test_the_same_arguments_are_fitted_once_and_give_the_same_probe(fits: list[int]) -> None:
    first, second = fitted(), fitted()
    assert len(fits) == 1
    assert (first.method, first.strength, first.accuracy) == (second.method, second.strength, second.accuracy)
    np.testing.assert_array_equal(first.head.weight, second.head.weight)
    np.testing.assert_array_equal(first.out_of_fold, second.out_of_fold)


def test_other_features_folds_or_weights_are_fitted_anew(fits: list[int]) -> None:
    fitted()
    fitted(seed=1)
    fitted(folds=np.arange(60) % 3)
    fitted(class_weights=np.array([1.0, 2.0, 1.0]))
    assert len(fits) == 4


def test_a_damaged_file_is_fitted_anew_and_mended(fits: list[int], tmp_path: Path) -> None:
    fitted()
    (path,) = (tmp_path / "probes").glob("*.npz")
    path.write_bytes(path.read_bytes()[:100])
    fitted()
    fitted()
    assert len(fits) == 2


def test_a_folder_that_cannot_be_written_only_costs_time(fits: list[int], tmp_path: Path) -> None:
    (tmp_path / "probes").write_text("in the way")
    assert fitted().accuracy == fitted().accuracy
    assert len(fits) == 2


def test_only_the_latest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_cache, "_KEPT", 2)
    for seed in range(4):
        fitted(seed=seed)
    assert len(list((tmp_path / "probes").glob("*.npz"))) == 2


def test_no_pickle_is_read(fits: list[int], tmp_path: Path) -> None:
    fitted()
    (path,) = (tmp_path / "probes").glob("*.npz")
    names = ("weight", "bias", "out_of_fold", "method", "strength", "accuracy")
    np.savez(path, **{name: np.array([{}], dtype=object) for name in names})
    fitted()
    assert len(fits) == 2


def test_a_large_probe_is_not_kept(fits: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_cache, "_LARGEST_KEPT", 100)
    fitted()
    fitted()
    assert len(fits) == 2
    assert not list(tmp_path.rglob("*.npz"))
