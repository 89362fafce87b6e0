"""A residual network with zero-initialised last batch-norms and a cosine schedule."""
import math

import torch
from torch import nn
from torchvision import transforms as T

EPOCHS = 10
BATCH_SIZE = 32


class Block(nn.Module):
    def __init__(self, i, o, s):
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(i, o, 3, s, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
        self.b = nn.Sequential(nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o))
        nn.init.zeros_(self.b[1].weight)
        self.short = nn.Identity() if i == o and s == 1 else nn.Conv2d(i, o, 1, s, bias=False)

    def forward(self, x):
        return torch.relu(self.short(x) + self.b(self.a(x)))


def build_model(num_classes):
    body = [Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)]
    stem = [nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *body, nn.Flatten(), nn.Linear(64 * 16, num_classes))


def build_transform(train):
    return T.Compose([T.Resize((32, 32)), T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)])


def build_loss():
    return nn.CrossEntropyLoss()


def build_optimizer(model):
    decay = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    return torch.optim.SGD([{"params": decay, "weight_decay": 1e-4}, {"params": rest, "weight_decay": 0.0}], lr=0.05, momentum=0.9, nesterov=True)


def build_scheduler(optimizer, steps):
    warm = max(1, steps // 10)
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: (s + 1) / warm if s < warm else 0.5 * (1 + math.cos(math.pi * (s - warm) / (steps - warm + 1)))
    )
