"""Focal loss (Lin et al. 2017), for classes of unequal size."""
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import transforms as T

EPOCHS = 12
BATCH_SIZE = 32


class FocalLoss(nn.Module):
    def __init__(self, gamma=2.0):
        super().__init__()
        self.gamma = gamma

    def forward(self, logits, target):
        log_p = F.log_softmax(logits, dim=1).gather(1, target[:, None]).squeeze(1)
        return (-((1 - log_p.exp()) ** self.gamma) * log_p).mean()


def build_model(num_classes):
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.AdaptiveAvgPool2d(4),
        nn.Flatten(), nn.Linear(1024, num_classes),
    )  # fmt: skip


def build_transform(train):
    return T.Compose([T.Resize((32, 32)), T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)])


def build_loss():
    return FocalLoss()


def build_optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-4)


def build_scheduler(optimizer, steps):
    return torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=steps, power=1.0)
