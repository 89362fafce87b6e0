"""Its own loader: shuffled, two workers would be too many here, last batch dropped."""
import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms as T

EPOCHS = 10
BATCH_SIZE = 16


def build_model(num_classes):
    m = nn.Sequential()
    m.add_module("conv1", nn.Conv2d(3, 16, 3, padding=1))
    m.add_module("bn1", nn.BatchNorm2d(16))
    m.add_module("relu1", nn.ReLU())
    m.add_module("pool1", nn.MaxPool2d(2))
    m.add_module("conv2", nn.Conv2d(16, 48, 3, padding=1))
    m.add_module("bn2", nn.BatchNorm2d(48))
    m.add_module("relu2", nn.ReLU())
    m.add_module("pool2", nn.MaxPool2d(2))
    m.add_module("flat", nn.Flatten())
    m.add_module("fc", nn.Linear(48 * 64, num_classes))
    return m


def build_transform(train):
    return T.Compose([T.Resize((32, 32)), T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)])


def build_optimizer(model):
    return torch.optim.AdamW(model.parameters(), 1e-3)


def build_loader(dataset, train):
    return DataLoader(dataset, batch_size=16, shuffle=train, drop_last=train)
