"""Mixup in the step, label smoothing in the loss."""
import numpy as np
import torch
import torch.nn as nn
import torchvision.transforms as transforms

EPOCHS = 14
BATCH_SIZE = 32
ALPHA = 0.2


def conv(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2))


def build_model(num_classes):
    return nn.Sequential(conv(3, 24), conv(24, 48), conv(48, 64), nn.Flatten(), nn.Linear(64 * 16, num_classes))


def build_transform(train):
    return transforms.Compose([transforms.Resize((32, 32)), transforms.ToTensor(), transforms.Normalize(0.5, 0.5)])


def build_loss():
    return nn.CrossEntropyLoss(label_smoothing=0.1)


def build_optimizer(model):
    return torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)


def build_scheduler(optimizer, steps):
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)


def train_step(model, x, y, criterion, optimizer):
    model.train()
    lam = np.random.beta(ALPHA, ALPHA)
    index = torch.randperm(x.size(0))
    mixed = lam * x + (1 - lam) * x[index]
    out = model(mixed)
    loss = lam * criterion(out, y) + (1 - lam) * criterion(out, y[index])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
