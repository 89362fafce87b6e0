"""Rotation, shift, erasing, colour: long enough a training to bear it."""
import torch
from torch import nn
from torchvision.transforms import v2

EPOCHS = 16
BATCH_SIZE = 32


def build_model(num_classes):
    def stage(i, o):
        return [nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(*stage(3, 24), *stage(24, 48), *stage(48, 96), nn.Flatten(), nn.Linear(96 * 16, num_classes))


def build_transform(train):
    common = [v2.ToImage(), v2.Resize((32, 32)), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.5] * 3)]
    if not train:
        return v2.Compose(common)
    return v2.Compose([v2.RandomRotation(12), v2.ColorJitter(0.2, 0.2), *common, v2.RandomErasing(p=0.25, scale=(0.02, 0.1))])


def build_loss():
    return nn.CrossEntropyLoss()


def build_optimizer(model):
    return torch.optim.AdamW(model.parameters(), lr=3e-3)


def build_scheduler(optimizer, steps):
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps, eta_min=1e-5)
