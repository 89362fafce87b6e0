"""torchvision's references/classification in small: SGD with Nesterov, warm-up then cosine by epochs, label smoothing."""
import torch
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.transforms import v2 as T

EPOCHS = 12
BATCH_SIZE = 32
SCHEDULER_UNIT = "epoch"


def build_model(num_classes):
    model = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=num_classes)
    model.conv1 = nn.Conv2d(3, 64, 3, stride=2, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model


def build_transform(train):
    steps = [T.Resize(32, antialias=True), T.CenterCrop(32)]
    if train:
        steps.append(T.RandomAffine(5, translate=(0.06, 0.06)))
    return T.Compose([*steps, T.PILToTensor(), T.ToDtype(torch.float, scale=True), T.Normalize([0.5] * 3, [0.25] * 3)])


def build_loss():
    return nn.CrossEntropyLoss(label_smoothing=0.1)


def build_optimizer(model):
    parameters = torchvision.ops._utils.split_normalization_params(model)
    groups = [{"params": p, "weight_decay": d} for p, d in zip(parameters, (0.0, 1e-4)) if p]
    return torch.optim.SGD(groups, lr=0.04, momentum=0.9, nesterov=True)


def build_scheduler(optimizer, steps):
    warm = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=2)
    main = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS - 2, eta_min=1e-4)
    return torch.optim.lr_scheduler.SequentialLR(optimizer, [warm, main], milestones=[2])


def train_step(model, image, target, criterion, optimizer):
    model.train()
    output = model(image)
    loss = criterion(output, target)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    return loss
