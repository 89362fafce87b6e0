"""Everything from timm: its model, transform, optimizer factory, scheduler and loss, as its own train.py strings them."""
import timm
from timm.data import create_transform
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from torch.optim.lr_scheduler import OneCycleLR

EPOCHS = 14
BATCH_SIZE = 32


def build_model(num_classes):
    return timm.create_model("test_efficientnet.r160_in1k", pretrained=False, num_classes=num_classes, drop_rate=0.1)


def build_transform(train):
    return create_transform(
        input_size=(3, 48, 48), is_training=train, scale=(0.8, 1.0), ratio=(0.9, 1.1), hflip=0.0, color_jitter=0.1,
        auto_augment=None, crop_pct=1.0, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5),
    )  # fmt: skip


def build_loss():
    return LabelSmoothingCrossEntropy(smoothing=0.1)


def build_optimizer(model):
    return create_optimizer_v2(model, opt="adamw", lr=4e-3, weight_decay=0.02, filter_bias_and_bn=True)


def build_scheduler(optimizer, steps):
    return OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps, pct_start=0.2)
