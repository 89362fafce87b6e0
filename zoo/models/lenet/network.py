"""The layers of LeNet-5."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

# Table I of the paper: which of S2's six maps each of C3's sixteen maps sees.
_C3_SEES = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip


class ScaledTanh(nn.Module):
    """``1.7159 tanh(2x / 3)``: +-1 maps to +-1, where the curvature is largest (appendix A)."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Same shape as ``inputs``."""
        return 1.7159 * torch.tanh(inputs * (2 / 3))


class Subsampling(nn.Module):
    """The sum over 2 x 2, times a trained factor, plus a trained bias (one of each a map), then the sigmoid."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((maps,), 0.25))  # starts as the mean
        self.bias = nn.Parameter(torch.zeros(maps))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """``(n, maps, h, w)`` to ``(n, maps, h / 2, w / 2)``."""
        summed = functional.avg_pool2d(inputs, 2) * 4
        return torch.sigmoid(summed * self.weight[:, None, None] + self.bias[:, None, None])


class SparseConv2d(nn.Module):
    """A 5 x 5 convolution in which each output map sees only some input maps.

    Args:
        in_channels: Input maps.
        sees: Of each output map, the input maps it is connected to.
    """

    connected: torch.Tensor

    def __init__(self, in_channels: int, sees: tuple[tuple[int, ...], ...]) -> None:
        super().__init__()
        connected = torch.zeros(len(sees), in_channels, 5, 5, dtype=torch.bool)
        for out, maps in enumerate(sees):
            connected[out, list(maps)] = True
        self.register_buffer("connected", connected, persistent=False)
        # Only the weights of connections that exist, in the order of ``connected``.
        self.weight = nn.Parameter(torch.zeros(int(connected.sum())))
        self.bias = nn.Parameter(torch.zeros(len(sees)))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """``(n, in, h, w)`` to ``(n, out, h - 4, w - 4)``."""
        dense = torch.zeros_like(self.connected, dtype=self.weight.dtype).masked_scatter(self.connected, self.weight)
        return functional.conv2d(inputs, dense, self.bias)


class LeNet5(nn.Module):
    """LeNet-5 with a linear head.

    Args:
        num_classes: Outputs of the head.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.c1 = nn.Conv2d(1, 6, 5)
        self.s2 = Subsampling(6)
        self.c3 = SparseConv2d(6, _C3_SEES)
        self.s4 = Subsampling(16)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.squash = ScaledTanh()
        self.head = nn.Linear(84, num_classes)
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        for layer in (self.c1, self.c5, self.f6, self.head):
            bound = 2.4 / layer.weight[0].numel()
            layer.weight.uniform_(-bound, bound)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # all four have one
        fan_in = self.c3.connected.sum((1, 2, 3), keepdim=True).expand_as(self.c3.connected)[self.c3.connected]
        self.c3.weight.uniform_(-2.4, 2.4).div_(fan_in)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """``(n, 1, 32, 32)`` to logits ``(n, num_classes)``."""
        x = self.s2(self.squash(self.c1(images)))
        x = self.s4(self.squash(self.c3(x)))
        x = self.squash(self.c5(x)).flatten(1)
        logits: torch.Tensor = self.head(self.squash(self.f6(x)))
        return logits
