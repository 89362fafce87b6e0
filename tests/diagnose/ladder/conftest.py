"""Pictures whose class is their colour, and a small network that knows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from diagnose.context import Context
from zoo.data import Dataset, Sample
from zoo.statistics import STATISTICS

COLOURS = {"blue": (60, 80, 200), "green": (70, 190, 80), "red": (200, 70, 60)}


@pytest.fixture(scope="session")
def colours(tmp_path_factory) -> Context:
    """180 noisy pictures of three colours in given splits, with features that a probe reads perfectly."""
    root = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    samples, features = [], []
    for label, (name, colour) in enumerate(COLOURS.items()):
        (root / name).mkdir()
        for number in range(60):
            tint = np.array(colour) + rng.normal(0, 10, 3)
            pixels = np.clip(tint + rng.normal(0, 40, (40, 40, 3)), 0, 255).astype(np.uint8)
            path = f"{name}/{number:02d}.png"
            Image.fromarray(pixels).save(root / path)
            samples.append(Sample(path=path, label=label, split="train" if number < 30 else "val"))
            features.append([*(tint / 255), *rng.normal(0, 0.1, 5)])
    dataset = Dataset(root=root, samples=tuple(samples), classes=tuple(COLOURS), given_splits=True)
    context = Context(
        dataset=dataset,
        statistics=np.zeros(len(samples), dtype=STATISTICS),
        embeddings={"colours": np.array(features, dtype=np.float32)},
    )
    vars(context)["duplicates"] = np.arange(len(samples))
    return context


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def images(context: Context, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """``(n, 3, 32, 32)`` in [-1, 1], and labels."""
    chosen = [s for s in context.dataset.samples if s.split == split]
    stacked = [np.asarray(Image.open(Path(context.dataset.root) / s.path).resize((32, 32))) for s in chosen]
    batch = torch.from_numpy(np.stack(stacked)).permute(0, 3, 1, 2) / 127.5 - 1
    return batch, torch.tensor([s.label for s in chosen])
