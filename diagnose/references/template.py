"""Your algorithm, for `zoo diagnose DATA --algorithm THIS_FILE`.

Replace what is yours; delete what you do not have: a missing part comes from a known-good recipe. The file is run in a
process of its own, on copies of some of your pictures; it cannot change your files.
"""

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms

EPOCHS = 10
BATCH_SIZE = 32
SCHEDULER_UNIT = "step"  # or "epoch": how often your loop calls scheduler.step()


def build_model(num_classes):
    """Your network, with weights loaded where you load some. Returns a torch.nn.Module."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(64 * 16, num_classes),
    )


def build_transform(train):
    """From a PIL image to a tensor (channels, height, width); `train` says whether to augment."""
    augment = [transforms.RandomHorizontalFlip()] if train else []
    normalise = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    return transforms.Compose([transforms.Resize((64, 64)), *augment, transforms.ToTensor(), normalise])


def build_loss():
    """Called as loss(outputs, targets), targets being class numbers."""
    return nn.CrossEntropyLoss()


def build_optimizer(model):
    """Your optimizer over the model's parameters."""
    return torch.optim.AdamW(model.parameters(), lr=1e-3)


def build_scheduler(optimizer, steps):
    """`steps` is the number of training steps in all. Delete this function if you have no schedule."""
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)


def build_loader(dataset, train):
    """Your loader over (tensor, class number) pairs."""
    return DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=train)


def train_step(model, inputs, targets, loss_fn, optimizer):
    """One step, model.train() included, as your loop does it. Returns the loss."""
    model.train()
    optimizer.zero_grad()
    loss = loss_fn(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.detach()


def evaluate(model, loader):
    """The accuracy as you compute it, model.eval() included."""
    model.eval()
    right = total = 0
    with torch.no_grad():
        for inputs, targets in loader:
            right += (model(inputs).argmax(1) == targets).sum().item()
            total += len(targets)
    return right / total
