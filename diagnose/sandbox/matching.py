"""A plain transform that suits a given model: what its weights were trained with, or the pictures' own statistics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from diagnose.sandbox.parts import Transform

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def expected_statistics(model: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and deviation that pretrained weights want, units of pixel / 255; ``None`` where nothing says so."""
    if not getattr(model, "known_pretrained", False):
        return None
    for module in model.modules():
        config = getattr(module, "pretrained_cfg", None)
        if isinstance(config, dict) and "mean" in config:
            return tuple(config["mean"]), tuple(config["std"])
        if type(module).__module__.startswith("torchvision.models"):
            return IMAGENET
    return None


def matched_transform(model: nn.Module, *, shape: tuple[int, ...], images: Sequence[Image.Image]) -> Transform:
    """Resize to ``shape`` (channels, height, width) and normalise: as the weights expect, else by the pictures' own."""
    statistics = expected_statistics(model)
    if statistics is None:
        sample = [np.asarray(image.resize((16, 16)), dtype=np.float32).reshape(-1, 3) / 255 for image in images[:128]]
        pixels = np.concatenate(sample)
        statistics = tuple(pixels.mean(0)), tuple(np.full(3, max(float(pixels.std()), 0.05)))
    mean, std = (torch.tensor(s, dtype=torch.float32)[:, None, None] for s in statistics)
    channels, height, width = shape

    def transform(image: Image.Image) -> Tensor:
        # The whole picture: a person's own crop is part of what is being replaced.
        resized = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
        pixels = torch.from_numpy(np.asarray(resized, dtype=np.float32).transpose(2, 0, 1).copy()) / 255
        normalised = (pixels - mean) / std
        return normalised.mean(0, keepdim=True) if channels == 1 else normalised

    return transform
