"""A running average of the weights is what gets evaluated, as in much of today's code."""
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchvision import transforms as T

EPOCHS = 12
BATCH_SIZE = 32
AVERAGES = WeakKeyDictionary()


def build_model(num_classes):
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64 * 64, num_classes),
    )  # fmt: skip


def build_transform(train):
    return T.Compose([T.Resize((32, 32)), T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)])


def build_optimizer(model):
    return torch.optim.AdamW(model.parameters(), lr=1e-3)


def build_scheduler(optimizer, steps):
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)


def train_step(model, inputs, targets, loss_fn, optimizer):
    model.train()
    if model not in AVERAGES:
        AVERAGES[model] = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.95))
    optimizer.zero_grad(set_to_none=True)
    loss = loss_fn(model(inputs), targets)
    loss.backward()
    optimizer.step()
    AVERAGES[model].update_parameters(model)
    return loss.detach()


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    net = AVERAGES.get(model, model).eval()
    pairs = [(net(x).argmax(1), y) for x, y in loader]
    return float(torch.cat([p == y for p, y in pairs]).float().mean())
