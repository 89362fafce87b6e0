"""Small models with random weights, the files that hold them, and folders of small pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import safetensors.torch
import timm
import torch
from PIL import Image
from torch import nn


def tiny_model(num_classes: int = 7, name: str = "test_resnet") -> nn.Module:
    """A small timm model with random weights in which no tensor is trivial."""
    torch.manual_seed(0)
    module: nn.Module = timm.create_model(name, num_classes=num_classes)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor) * 0.1)
    return module.eval()


def saved(module: nn.Module, **pretrained: object) -> dict[str, bytes]:
    """The files of a model repository, as ``timm.models.push_to_hf_hub`` writes them."""
    cfg = dict(module.pretrained_cfg)
    architecture = cfg.pop("architecture")
    cfg = {
        key: cfg[key] for key in ("input_size", "mean", "std", "interpolation", "crop_pct", "first_conv", "classifier")
    }
    config = {
        "architecture": architecture,
        "num_classes": module.num_classes,
        "num_features": module.num_features,
        "pretrained_cfg": cfg | {"license": "mit", "num_classes": module.num_classes} | pretrained,
    }
    return {
        "config.json": json.dumps(config).encode(),
        "model.safetensors": safetensors.torch.save({k: v.contiguous() for k, v in module.state_dict().items()}),
    }


def images(size: tuple[int, int] = (160, 160), channels: int = 3) -> torch.Tensor:
    """Two images of noise, always the same."""
    return torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(1))


def two_colours(folder: Path, *, other: str = "blue", count: int = 20) -> Path:
    """An image folder of two classes that differ in colour: ``red`` and another."""
    random = np.random.default_rng(0)
    for name, colour in (("red", (200, 40, 40)), (other, (40, 40, 200))):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            noise = random.integers(-40, 40, (40, 40, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:02d}.png")
    return folder
