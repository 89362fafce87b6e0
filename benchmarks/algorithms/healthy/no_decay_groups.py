"""No weight decay on biases and norms, warm-up and cosine in one lambda that is stepped once an epoch."""
import math

import torch
from torch import nn
from torchvision import transforms as T

EPOCHS = 12
BATCH_SIZE = 24
SCHEDULER_UNIT = "epoch"
WARMUP = 2


def block(i, o):
    return [nn.Conv2d(i, o, 3, padding=1, bias=False), nn.GroupNorm(4, o), nn.GELU(), nn.AvgPool2d(2)]


def build_model(num_classes):
    return nn.Sequential(*block(3, 24), *block(24, 48), *block(48, 96), nn.Flatten(), nn.Linear(96 * 16, num_classes))


def build_transform(train):
    return T.Compose([T.Resize((32, 32)), T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)])


def build_optimizer(model):
    decay = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    return torch.optim.AdamW([{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}], lr=2e-3)


def build_scheduler(optimizer, steps):
    def factor(epoch):
        if epoch < WARMUP:
            return (epoch + 1) / WARMUP
        return 0.5 * (1 + math.cos(math.pi * (epoch - WARMUP) / (EPOCHS - WARMUP)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
