"""A small convolutional network trained from scratch: known-good for digits and other small, simple pictures.

Reaches 97-99 % on scikit-learn's 8 x 8 handwritten digits in ten epochs (benchmarks/faults examines files against it).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

EPOCHS = 10
BATCH_SIZE = 32
SIZE = 32


def build_model(num_classes: int) -> nn.Module:
    """Three convolutions with batch-norm, a linear head on a 4 x 4 grid: 34 thousand weights for ten classes."""
    widths = (3, 16, 32, 64)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * widths[-1], num_classes))


def build_transform(train: bool) -> Callable[[Image.Image], Tensor]:  # noqa: ARG001, FBT001 - the algorithm file's interface
    """Resize and scale to [-1, 1]; no augmentation."""

    def transform(image: Image.Image) -> Tensor:
        resized = image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.asarray(resized, dtype=np.float32).transpose(2, 0, 1).copy()) / 127.5 - 1

    return transform


def build_loss() -> Callable[[Tensor, Tensor], Tensor]:
    """Cross-entropy."""
    return nn.CrossEntropyLoss()


def build_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """AdamW at 3e-3."""
    return torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)


def build_scheduler(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """One cosine from the peak to zero, stepped per step."""
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(1, steps))
