"""Batch normalisation merged into convolutions: the same features, and never a model that is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
import torchvision
from torch import nn

from zoo.classifier import embed
from zoo.folding import folded


def settled(module: nn.Module) -> nn.Module:
    """The module in evaluation mode, its normalisations far from the identity that they begin with."""
    torch.manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -1, 1)
            nn.init.uniform_(layer.running_var, 0.3, 3)
            nn.init.uniform_(layer.weight, 0.5, 2)
            nn.init.uniform_(layer.bias, -1, 1)
    return module.eval()


def images(side: int = 64) -> torch.Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def norms(module: nn.Module) -> int:
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in module.modules())


FAMILIES = {
    "timm's resnet": lambda: timm.create_model("test_resnet"),
    "timm's efficientnet, activations within the norms": lambda: timm.create_model("test_efficientnet"),
    "torchvision's mobilenet": torchvision.models.mobilenet_v3_small,
    "torchvision's vgg, with biases": torchvision.models.vgg11_bn,
}


@pytest.mark.parametrize("make", FAMILIES.values(), ids=FAMILIES)
@torch.no_grad()
def test_every_normalisation_of_a_convolutional_net_goes_and_the_features_stay(make: Callable[[], nn.Module]) -> None:
    module = settled(make())
    found = folded(module, images())
    assert norms(module) > 0
    assert norms(found) == 0
    other = images().flip(2)
    expected = embed(module, other)
    torch.testing.assert_close(embed(found, other), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["test_vit", "test_convnext"])
@torch.no_grad()
def test_a_model_without_batch_normalisation_computes_what_it_did(name: str) -> None:
    module = settled(timm.create_model(name))
    batch = images(module.default_cfg["input_size"][1])
    torch.testing.assert_close(embed(folded(module, batch), batch), embed(module, batch))


class Between(nn.Module):
    """A convolution whose output is used by something else than its normalisation as well."""

    def __init__(self, use: Callable[[torch.Tensor, nn.Module], torch.Tensor]) -> None:
        super().__init__()
        self.convolution, self.norm, self.head = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 2)
        self.use = use

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.head(self.use(self.convolution(batch), self.norm).mean((2, 3)))


TRAPS = {
    "the output is added as well": lambda x, norm: norm(x) + x,
    "the output is changed in place before": lambda x, norm: norm(x.relu_()),
    "the norm is used twice": lambda x, norm: norm(norm(x)),
}


@pytest.mark.parametrize("use", TRAPS.values(), ids=TRAPS)
@torch.no_grad()
def test_features_stay_where_a_convolution_cannot_take_its_norm_over(
    use: Callable[[torch.Tensor, nn.Module], torch.Tensor],
) -> None:
    module = settled(Between(use))
    found = folded(module, images())
    torch.testing.assert_close(embed(found, images()), embed(module, images()))
    assert norms(found) == 1


@torch.no_grad()
def test_the_module_handed_over_is_left_as_it_was() -> None:
    module = settled(timm.create_model("test_resnet"))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    folded(module, images())
    assert before.keys() == module.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in module.modules())
