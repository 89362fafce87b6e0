"""SGD with momentum and a StepLR that is stepped once an epoch."""
import torch
from torch import nn, optim
from torchvision import transforms

EPOCHS = 12
BATCH_SIZE = 20
SCHEDULER_UNIT = "epoch"


def build_model(num_classes):
    layers, width = [], 3
    for out in (16, 32, 64):
        layers += [nn.Conv2d(width, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(), nn.MaxPool2d(2)]
        width = out
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 4 * 4, 128), nn.ReLU(), nn.Linear(128, num_classes))


def build_transform(train):
    aug = [transforms.RandomCrop(32, padding=2)] if train else []
    return transforms.Compose([transforms.Resize(32), *aug, transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.25] * 3)])


def build_optimizer(model):
    return optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4)


def build_scheduler(optimizer, steps):
    return optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.2)
