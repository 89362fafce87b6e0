"""LeNet-5, as it was in 1998: trained from its first step, no ImageNet weights.

Paper:    LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document Recognition,
          Proceedings of the IEEE 86(11), 1998, doi:10.1109/5.726791, section II.B and appendix A.
Faithful: 32 x 32 grey input scaled so that ground is -0.1 and ink 1.175 (ink is bright, as in MNIST's files); C1,
          S2, C3 with the sparse connections of table I, S4, C5, F6; sub-sampling that adds 2 x 2, with one trained
          factor and one trained bias a map; 1.7159 tanh(2x/3) after C1, C3, C5 and F6, the sigmoid after S2 and
          S4; weights start uniform in +-2.4 / fan-in. 60 000 parameters before the head, as in the paper.
Not:      the ten radial-basis outputs, whose codes are drawn by hand for digits. A linear layer stands in their
          place, so that any classes can be learnt with cross-entropy.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.models.builtin import BUILT_IN, BuiltIn
from zoo.preprocess import Preprocess

if TYPE_CHECKING:  # the catalog knows the model without loading torch
    import torch
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class _LeNet5(BuiltIn):
    def available(self) -> bool:
        return True

    def origin(self) -> str:
        return "none: it starts untrained"

    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.name.encode())
        for name, tensor in self.state_dict().items():
            digest.update(name.encode() + tensor.numpy().tobytes())
        return digest.hexdigest()

    def build(self) -> nn.Module:
        from zoo.models.lenet.network import LeNet5

        return LeNet5(self.num_classes)

    def state_dict(self) -> dict[str, torch.Tensor]:
        import torch

        # "Weights" of an untrained model are its start, and a start must be the same in every process.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1998)
            return self.build().state_dict()


BUILT_IN.register("lenet5")(
    _LeNet5(
        name="lenet5",
        source="zoo",
        # 0 becomes -0.1 and 255 becomes 1.175 (section II.B).
        preprocess=Preprocess(
            size=(32, 32), mean=(0.1 / 1.275,), std=(1 / 1.275,), interpolation="bilinear", crop_pct=1.0
        ),
        num_classes=10,
        parameters=60_850,
    )
)
