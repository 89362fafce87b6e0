"""ELU and RMSprop."""
import torch
from torch import nn
from torchvision import transforms as T

EPOCHS = 10
BATCH_SIZE = 32


def build_model(num_classes):
    return nn.Sequential(
        nn.Conv2d(3, 24, 5, padding=2), nn.BatchNorm2d(24), nn.ELU(), nn.MaxPool2d(2),
        nn.Conv2d(24, 48, 5, padding=2), nn.BatchNorm2d(48), nn.ELU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(48 * 64, 64), nn.ELU(), nn.Linear(64, num_classes),
    )  # fmt: skip


def build_transform(train):
    return T.Compose([T.Resize((32, 32)), T.ToTensor(), T.Normalize([0.2] * 3, [0.3] * 3)])


def build_optimizer(model):
    return torch.optim.RMSprop(model.parameters(), lr=5e-4)
