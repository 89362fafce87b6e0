"""Small models with random weights, and the files that hold them."""

from __future__ import annotations

import json

import safetensors.torch
import timm
import torch
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
