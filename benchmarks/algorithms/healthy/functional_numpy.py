"""No torchvision: numpy in, tensor out; loss written by hand."""
import numpy as np
import torch
from PIL import Image

EPOCHS = 10
BATCH_SIZE = 50


class Net(torch.nn.Module):
    def __init__(self, k):
        super().__init__()
        self.features = torch.nn.ModuleList([torch.nn.Conv2d(3, 32, 3), torch.nn.Conv2d(32, 48, 3)])
        self.norms = torch.nn.ModuleList([torch.nn.GroupNorm(4, 32), torch.nn.GroupNorm(4, 48)])
        self.out = torch.nn.Linear(48 * 6 * 6, k)

    def forward(self, x):
        for conv, norm in zip(self.features, self.norms):
            x = torch.nn.functional.max_pool2d(torch.nn.functional.relu(norm(conv(x))), 2)
        return self.out(x.reshape(len(x), -1))


def build_model(num_classes):
    return Net(num_classes)


def build_transform(train):
    def f(image: Image.Image):
        array = np.array(image.resize((32, 32)), dtype=np.float32) / 255.0
        return torch.tensor((array - 0.4) / 0.3).permute(2, 0, 1)

    return f


def build_loss():
    return lambda out, y: (torch.logsumexp(out, 1) - out.gather(1, y[:, None]).squeeze(1)).mean()


def build_optimizer(model):
    return torch.optim.Adam(list(model.features.parameters()) + list(model.norms.parameters()) + list(model.out.parameters()), lr=2e-3)
