"""Log-softmax inside, NLLLoss outside."""
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import transforms

EPOCHS = 10
BATCH_SIZE = 32


class LeNet(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 40, 5)
        self.drop = nn.Dropout(0.25)
        self.fc1 = nn.Linear(40 * 5 * 5, 100)
        self.fc2 = nn.Linear(100, classes)

    def forward(self, x):
        x = F.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = F.max_pool2d(torch.relu(self.conv2(x)), 2)
        x = self.drop(torch.relu(self.fc1(torch.flatten(x, 1))))
        return F.log_softmax(self.fc2(x), dim=1)


def build_model(num_classes):
    return LeNet(num_classes)


def build_transform(train):
    return transforms.Compose(
        [transforms.Grayscale(), transforms.Resize((32, 32)), transforms.ToTensor(), transforms.Normalize((0.3,), (0.35,))]
    )


def build_loss():
    return nn.NLLLoss()


def build_optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=0.001)
