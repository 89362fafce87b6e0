"""MobileNet-like: depthwise separable convolutions, linear bottlenecks, hard-swish."""
import torch
from torch import nn
from torchvision import transforms as T

EPOCHS = 14
BATCH_SIZE = 32


class Inverted(nn.Module):
    def __init__(self, i, o, s, e=4):
        super().__init__()
        self.same = i == o and s == 1
        h = i * e
        self.conv = nn.Sequential(
            nn.Conv2d(i, h, 1, bias=False), nn.BatchNorm2d(h), nn.Hardswish(),
            nn.Conv2d(h, h, 3, s, 1, groups=h, bias=False), nn.BatchNorm2d(h), nn.Hardswish(),
            nn.Conv2d(h, o, 1, bias=False), nn.BatchNorm2d(o),
        )  # fmt: skip

    def forward(self, x):
        return x + self.conv(x) if self.same else self.conv(x)


def build_model(num_classes):
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish(),
        Inverted(16, 24, 2), Inverted(24, 24, 1), Inverted(24, 48, 2), nn.Flatten(), nn.Linear(48 * 16, num_classes),
    )  # fmt: skip


def build_transform(train):
    return T.Compose([T.Resize((32, 32)), T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)])


def build_optimizer(model):
    return torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-3)


def build_scheduler(optimizer, steps):
    return torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, total_iters=steps)
