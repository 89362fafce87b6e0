"""Probes that were fitted before: the same features, labels and folds give the same probe, so it is fitted once."""

from __future__ import annotations

import hashlib
import json
import zipfile
from functools import partial
from pathlib import Path

import numpy as np

from zoo.cache import PROBES, replacing, root
from zoo.errors import StorageError
from zoo.logistic import FloatArray
from zoo.probe import Head, IntArray, Probe, probe

_VERSION = 1  # of what ``probe`` computes; a change there makes every kept probe anew
_KEPT = 64  # probes, the latest used
_LARGEST_KEPT = 1 << 24  # bytes of a probe; some thousand images of a thousand classes
_LARGEST = 1 << 28  # bytes of features above which reading them again costs more than it saves


def cached_probe(
    x: FloatArray,
    y: IntArray,
    num_classes: int,
    *,
    folds: IntArray,
    class_weights: FloatArray | None = None,
    device: str = "cpu",
) -> Probe:
    """What ``probe`` gives for these arguments, from ``$ZOO_CACHE/probes`` where it was fitted before.

    The cache is a convenience: where it cannot be read or written, the probe is fitted every time.
    """
    fit = partial(probe, x, y, num_classes, folds=folds, class_weights=class_weights, device=device)
    if x.nbytes > _LARGEST:
        return fit()
    parts = (x, y, folds, np.zeros(0) if class_weights is None else class_weights)
    path = root() / PROBES / f"{_digest(num_classes, parts)}.npz"
    known = _read(path)
    if known is not None:
        return known
    fitted = fit()
    if fitted.out_of_fold.nbytes + fitted.head.weight.nbytes <= _LARGEST_KEPT:
        _write(path, fitted)
    return fitted


def _digest(num_classes: int, parts: tuple[np.ndarray, ...]) -> str:
    digest = hashlib.sha256(json.dumps([_VERSION, num_classes]).encode())
    for part in parts:
        digest.update(f"{part.dtype.str}{part.shape}".encode())
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()[:32]


def _read(path: Path) -> Probe | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            head = Head(weight=stored["weight"], bias=stored["bias"])
            figures = {name: stored[name].item() for name in ("method", "strength", "accuracy")}
            found = Probe(head=head, out_of_fold=stored["out_of_fold"], **figures)
        path.touch()
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # not there, or damaged: it is fitted anew
    return found


def _write(path: Path, fitted: Probe) -> None:
    try:
        with replacing(path) as part, part.open("wb") as file:
            np.savez(
                file,
                weight=fitted.head.weight,
                bias=fitted.head.bias,
                out_of_fold=fitted.out_of_fold,
                method=fitted.method,
                strength=fitted.strength,
                accuracy=fitted.accuracy,
            )
        for old in sorted(path.parent.glob("*.npz"), key=lambda p: p.stat().st_mtime)[:-_KEPT]:
            old.unlink(missing_ok=True)
    except (StorageError, OSError):
        pass
