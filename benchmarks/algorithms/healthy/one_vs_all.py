"""Binary cross-entropy, one class against all others."""
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import transforms as T

EPOCHS = 10
BATCH_SIZE = 25


def build_model(num_classes):
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, 1, 1), nn.BatchNorm2d(32), nn.SiLU(), nn.AvgPool2d(2),
        nn.Conv2d(32, 64, 3, 1, 1), nn.BatchNorm2d(64), nn.SiLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(64 * 64, num_classes),
    )  # fmt: skip


def build_transform(train):
    return T.Compose([T.Resize((32, 32)), T.ToTensor()])


def build_loss():
    def bce(logits, targets):
        return F.binary_cross_entropy_with_logits(logits, F.one_hot(targets, logits.shape[1]).float())

    return bce


def build_optimizer(model):
    return torch.optim.AdamW(model.parameters(), lr=2e-3)
