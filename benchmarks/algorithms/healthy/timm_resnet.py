"""timm's smallest test network, timm's optimizer factory."""
import timm
import timm.loss
import torch
from timm.optim import create_optimizer_v2
from torchvision import transforms as T

EPOCHS = 14
BATCH_SIZE = 32


def build_model(num_classes):
    return timm.create_model("test_resnet", pretrained=False, num_classes=num_classes)


def build_transform(train):
    return T.Compose([T.Resize((64, 64)), T.ToTensor(), T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])


def build_loss():
    return timm.loss.LabelSmoothingCrossEntropy(0.1)


def build_optimizer(model):
    return create_optimizer_v2(model, opt="adamw", lr=2e-3, weight_decay=0.02)


def build_scheduler(optimizer, steps):
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
