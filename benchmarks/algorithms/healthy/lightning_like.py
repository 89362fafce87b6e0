"""A LightningModule's shape without Lightning: the module knows its step and its optimizer."""
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import transforms as T

EPOCHS = 10
BATCH_SIZE = 32


class LitNet(nn.Module):
    def __init__(self, num_classes, lr=2e-3):
        super().__init__()
        self.lr = lr
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 24, 3, padding=1), nn.BatchNorm2d(24), nn.SiLU(), nn.MaxPool2d(2),
            nn.Conv2d(24, 48, 3, padding=1), nn.BatchNorm2d(48), nn.SiLU(), nn.MaxPool2d(2), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(48 * 64, num_classes)

    def forward(self, x):
        return self.head(self.encoder(x))

    def training_step(self, batch):
        x, y = batch
        return F.cross_entropy(self(x), y)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.lr)


def build_model(num_classes):
    return LitNet(num_classes)


def build_transform(train):
    return T.Compose([T.Resize((32, 32)), T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)])


def build_optimizer(model):
    return model.configure_optimizers() if hasattr(model, "configure_optimizers") else torch.optim.AdamW(model.parameters())


def train_step(model, inputs, targets, loss_fn, optimizer):
    model.train()
    if hasattr(model, "training_step"):
        loss = model.training_step((inputs, targets))
    else:
        loss = loss_fn(model(inputs), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
