"""Small models and pictures that the explain tests share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn


@pytest.fixture(autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    # No choice of a method outlives its test.
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))


class PatchNet(nn.Module):
    """Counts a planted pattern: patches that match a template, squared, summed over a grid of 8 x 8 patches of 8
    pixels.

    Class 0 is decided by the patch, class 1 is its opposite. Where relevance must lie is known exactly.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 8, stride=8, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(4, 2)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[0] = 1 / 192  # bright patches
            self.head.weight.zero_()
            self.head.weight[0, 0], self.head.weight[1, 0] = 4.0, -4.0
            self.head.bias.zero_()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.relu(self.conv(inputs)).mean((2, 3)))


@pytest.fixture
def patch_net() -> nn.Module:
    return PatchNet().eval()


def planted(rows: int = 64, columns: int = 64, *, at: tuple[int, int], size: int = 16, count: int = 1) -> Tensor:
    """Dark noise with one bright square whose top left corner is ``at``."""
    generator = torch.Generator().manual_seed(at[0] * 97 + at[1])
    inputs = -0.1 * torch.rand(count, 3, rows, columns, generator=generator)
    inputs[:, :, at[0] : at[0] + size, at[1] : at[1] + size] = 1.0
    return inputs


@pytest.fixture
def pictures() -> list[tuple[Image.Image, int]]:
    """Twelve small photographs-like pictures of two classes."""
    rng = np.random.default_rng(0)
    made = []
    for k in range(12):
        array = rng.integers(0, 120, (80, 90, 3), dtype=np.uint8)
        array[10:40, 10 + 30 * (k % 2) : 40 + 30 * (k % 2)] = 230
        made.append((Image.fromarray(array), k % 2))
    return made


def tiny(name: str, **options: Any) -> nn.Module:
    """A tiny timm model with random weights, the same ones every time."""
    import timm

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: nn.Module = timm.create_model(name, pretrained=False, **options).eval()
    return model
