"""Pictures and folders that the data tests share, and a cache of their own."""

from __future__ import annotations

import hashlib
import io
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("ZOO_CACHE", str(folder))
    return folder


def picture(width: int = 24, height: int = 16, *, seed: int = 0) -> Image.Image:
    """A smooth picture, so that lossy formats keep it nearly as it is."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    rng = np.random.default_rng(seed)
    a, b, c = rng.uniform(0.2, 1, 3)
    pixels = np.stack([255 * a * x, 255 * b * y, 255 * c * (x + y) / 2], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def put(path: Path, data: bytes | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(picture(seed=zlib.crc32(path.name.encode(errors="replace")))) if data is None else data)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes an image folder from its relative paths, all of them proper pictures."""

    def make(*paths: str) -> Path:
        root = tmp_path / "pictures"
        for path in paths:
            put(root / path)
        root.mkdir(exist_ok=True)
        return root

    return make


def fingerprint(root: Path) -> dict[str, tuple[int, int, str]]:
    """Every file and folder with its mode, time of change and content."""
    found = {}
    for directory, _, files in os.walk(root):
        for path in [Path(directory), *(Path(directory) / f for f in files)]:
            status = path.lstat()
            regular = path.is_file() and not path.is_symlink()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if regular else ""
            found[str(path)] = (status.st_mode, status.st_mtime_ns, content)
    return found
