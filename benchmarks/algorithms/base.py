"""The healthy twin of every planted fault: each part defined, so that each can be broken by an edit of its text."""
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms as T

EPOCHS = 8
BATCH_SIZE = 32


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.conv2, self.bn2 = nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32)
        self.conv3, self.bn3 = nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(64 * 16, num_classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        x = F.max_pool2d(F.relu(self.bn3(self.conv3(x))), 2)
        return self.fc(self.drop(x.flatten(1)))


def build_model(num_classes):
    model = Net(num_classes)
    return model


def build_transform(train):
    augment = [T.RandomAffine(8, translate=(0.05, 0.05))] if train else []
    return T.Compose([T.Resize((32, 32)), *augment, T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)])


def build_loss():
    return nn.CrossEntropyLoss()


def build_optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-5)


def build_scheduler(optimizer, steps):
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)


def build_loader(dataset, train):
    return DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=train, drop_last=False)


def train_step(model, inputs, targets, loss_fn, optimizer):
    model.train()
    optimizer.zero_grad()
    outputs = model(inputs)
    loss = loss_fn(outputs, targets)
    loss.backward()
    optimizer.step()
    return loss.detach()


def evaluate(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for inputs, targets in loader:
            outputs = model(inputs)
            right += (outputs.argmax(1) == targets).sum().item()
            total += len(targets)
    return right / total
