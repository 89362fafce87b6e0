"""Grey pictures and a network with one input channel."""
import torch
from torch import nn
from torchvision import transforms as T

EPOCHS = 10
BATCH_SIZE = 20


def build_model(num_classes):
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.LeakyReLU(0.1), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.LeakyReLU(0.1), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 49, num_classes),
    )  # fmt: skip


def build_transform(train):
    return T.Compose([T.Grayscale(), T.Resize((28, 28)), T.ToTensor(), T.Normalize((0.5,), (0.5,))])


def build_optimizer(model):
    return torch.optim.NAdam(model.parameters(), lr=1e-3)


def train_step(model, inputs, targets, loss_fn, optimizer):
    model.train()
    loss = loss_fn(model(inputs), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
