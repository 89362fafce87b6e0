"""As fastai does it: one cycle, Kaiming initialisation, momentum that mirrors the rate."""
import torch
from torch import nn
from torchvision import transforms as T

EPOCHS = 10
BATCH_SIZE = 32
cbs = {"one_cycle": True}


def conv_layer(ni, nf, stride=2):
    conv = nn.Conv2d(ni, nf, 3, stride=stride, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight)
    return nn.Sequential(conv, nn.BatchNorm2d(nf), nn.ReLU(inplace=True))


def build_model(num_classes):
    body = nn.Sequential(conv_layer(3, 16), conv_layer(16, 32), conv_layer(32, 64))
    head = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64 * 16), nn.Dropout(0.25), nn.Linear(64 * 16, num_classes))
    return nn.Sequential(body, head)


def build_transform(train):
    tfms = [T.Resize((32, 32))] + ([T.RandomResizedCrop(32, (0.85, 1.0))] if train else [])
    return T.Compose([*tfms, T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)])


def build_optimizer(model):
    return torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), eps=1e-5, weight_decay=0.01)


def build_scheduler(optimizer, steps):
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=steps)


def train_step(model, xb, yb, loss_func, opt):
    model.train()
    preds = model(xb)
    loss = loss_func(preds, yb)
    loss.backward()
    opt.step()
    opt.zero_grad()
    return loss.detach()
