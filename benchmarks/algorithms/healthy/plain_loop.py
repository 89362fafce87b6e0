import torch
from torch import nn
from torchvision import transforms as T

EPOCHS = 8
BATCH_SIZE = 32

def build_model(num_classes):
    return nn.Sequential(nn.Conv2d(3,16,3,padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16,32,3,padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.2),
        nn.Linear(32*8*8, num_classes))

def build_transform(train):
    ops = [T.Resize((32,32))]
    if train: ops.append(T.RandomAffine(10, translate=(.05,.05)))
    return T.Compose(ops + [T.ToTensor(), T.Normalize([.5]*3,[.5]*3)])

def build_loss():
    return nn.CrossEntropyLoss()

def build_optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=1e-3)

def train_step(model, inputs, targets, loss_fn, optimizer):
    model.train()
    optimizer.zero_grad()
    loss = loss_fn(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss

def evaluate(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(1) == y).sum().item()
            total += len(y)
    return right / total
