"""The identity that heads rest on, for every family: logits are the last layer on the embedding."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn
from torchvision import models

from tests.zoo.tiny import images, tiny_model
from zoo.card import Card
from zoo.classifier import embed, final_layer_names, head_of, set_head
from zoo.errors import ModelError
from zoo.models.lenet.network import LeNet5
from zoo.preprocess import Preprocess
from zoo.weights import build

TIMM = {
    "test_byobnet": 160,
    "test_convnext": 160,
    "test_convnext3": 160,
    "test_efficientnet": 160,
    "test_efficientnet_ln": 160,
    "test_nfnet": 160,
    "test_resnet": 160,
    "test_vit": 160,
    "test_vit3": 160,
    "resnet18": 64,
    "resnetv2_18": 64,  # head: a 1 x 1 convolution
    "resnetv2_50x1_bit": 64,
    "mobilenetv3_small_050": 64,
    "mobilenetv2_035": 64,
    "tf_efficientnet_lite0": 64,
    "regnetx_002": 64,
    "dpn48b": 64,
    "ghostnet_050": 64,
    "lcnet_035": 64,
    "inception_v3": 96,
    "hgnetv2_b0": 64,
    "edgenext_xx_small": 64,
    "mobilevit_xxs": 64,
    "poolformerv2_s12": 64,
    "pvt_v2_b0": 64,
    "vit_tiny_patch16_224": 224,
    "xcit_nano_12_p16_224": 224,
    "repvit_m0_9": 64,  # two heads on one vector
    "deit_tiny_distilled_patch16_224": 224,  # two heads on two tokens
    "levit_128s": 224,
    "crossvit_tiny_240": 240,
    "efficientformerv2_s0": 224,
}
SLOW_TIMM = {
    "vgg11": 64,
    "swin_tiny_patch4_window7_224": 224,
    "convnextv2_atto": 64,
    "densenet121": 64,
    "eva02_tiny_patch14_336": 336,
    "maxvit_rmlp_pico_rw_256": 256,
    "cait_xxs24_224": 224,
    "volo_d1_224": 224,  # its second head is left out
}
TORCHVISION = ["mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x0_5", "mnasnet0_5", "googlenet", "resnet18"]
SLOW_TORCHVISION = [
    *("alexnet", "vgg11", "efficientnet_b0", "inception_v3", "vit_b_32", "swin_t", "swin_v2_t", "convnext_tiny"),
    *("regnet_y_400mf", "densenet121", "maxvit_t"),
]
slow = pytest.mark.slow
CASES = [
    *[pytest.param("timm", name, size, id=name) for name, size in TIMM.items()],
    *[pytest.param("timm", name, size, id=name, marks=slow) for name, size in SLOW_TIMM.items()],
    *[pytest.param("torchvision", name, 64, id=f"torchvision/{name}") for name in TORCHVISION],
    *[pytest.param("torchvision", name, 224, id=f"torchvision/{name}", marks=slow) for name in SLOW_TORCHVISION],
]
pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.jit:DeprecationWarning",  # timm scripts some functions at import
)


def _random(library: str, name: str) -> nn.Module:
    torch.manual_seed(0)
    architecture = name if library == "timm" else f"torchvision/{name}"
    card = Card(name=name, source="local", architecture=architecture, preprocess=Preprocess())
    module = build(card)
    with torch.no_grad():  # norms and biases that are not trivial: pooling and head must not commute by chance
        for parameter in module.parameters():
            if parameter.ndim <= 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return module


def _apply(layer: nn.Linear | nn.Conv2d, features: torch.Tensor) -> torch.Tensor:
    return layer(features) if isinstance(layer, nn.Linear) else layer(features[..., None, None]).flatten(1)


@pytest.mark.parametrize(("library", "name", "size"), CASES)
@torch.no_grad()
def test_the_head_on_the_embedding_gives_the_logits_before_and_after_it_is_set(
    library: str, name: str, size: int
) -> None:
    module, batch = _random(library, name), images((size, size))

    def close(got: torch.Tensor, expected: torch.Tensor) -> None:
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))

    close(_apply(head_of(module), embed(module, batch)), module(batch))
    features = embed(module, batch)
    weight = torch.randn(5, features.shape[1], generator=torch.Generator().manual_seed(2))
    bias = torch.randn(5, generator=torch.Generator().manual_seed(3))
    set_head(module, weight, bias)
    close(module(batch), features @ weight.T + bias)
    close(embed(module, batch), features)
    close(head_of(module).weight.flatten(1), weight)
    assert head_of(module).weight.shape[0] == 5


def test_a_model_that_ends_in_features_gets_a_head() -> None:
    module = timm.create_model("test_vit", num_classes=0).eval()
    with pytest.raises(ModelError, match="ends in features"):
        head_of(module)
    features = embed(module, images())
    assert features.shape == (2, 64)
    set_head(module, torch.ones(3, 64), torch.arange(3.0))
    torch.testing.assert_close(module(images()), features.sum(1, keepdim=True) + torch.arange(3.0))


def test_a_head_of_another_width_is_refused() -> None:
    with pytest.raises(ModelError, match=r"must have the shape \(3, 64\)\. Got \(3, 65\)"):
        set_head(timm.create_model("test_vit"), torch.ones(3, 65), torch.zeros(3))


def test_a_model_of_feature_maps_is_refused() -> None:
    module = timm.create_model("test_resnet", num_classes=0, global_pool="").eval()
    with pytest.raises(ModelError, match="feature maps"):
        embed(module, images())


@torch.no_grad()
def test_embedding_leaves_the_model_as_it_was() -> None:
    module = tiny_model()
    module.train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items() if "running" not in name}
    hooks = sum(len(child._forward_pre_hooks) for child in module.modules())
    embed(module, images())
    assert module.training
    assert sum(len(child._forward_pre_hooks) for child in module.modules()) == hooks
    for name, tensor in before.items():
        torch.testing.assert_close(module.state_dict()[name], tensor) if "num_batches" not in name else None


def test_hooks_are_removed_when_the_model_fails() -> None:
    module = tiny_model()
    with pytest.raises(RuntimeError):
        embed(module, torch.zeros(1, 5, 32, 32))
    assert not any(child._forward_pre_hooks for child in module.modules())


def test_a_new_head_keeps_precision_mode_and_the_count_of_classes() -> None:
    module = tiny_model().to(torch.bfloat16).train()
    width = head_of(module).weight.shape[1]
    set_head(module, torch.ones(3, width), torch.zeros(3))
    head = head_of(module)
    assert (head.weight.dtype, head.training, module.num_classes) == (torch.bfloat16, True, 3)


def test_the_embedding_lets_gradients_through() -> None:
    batch = images().requires_grad_()
    embed(tiny_model(), batch).sum().backward()
    assert batch.grad is not None
    assert float(batch.grad.abs().sum()) > 0


def test_the_head_of_two_heads_does_not_share_memory_with_the_model() -> None:
    module = timm.create_model("repvit_m0_9").eval()
    before = module(images((64, 64)))
    with torch.no_grad():
        head_of(module).weight.zero_()
    torch.testing.assert_close(module(images((64, 64))), before)
    assert final_layer_names(module) == ["head.head.l", "head.head_dist.l"]


def test_the_names_of_final_layers_lead_to_them() -> None:
    for module in (LeNet5(), models.mobilenet_v3_small(), timm.create_model("test_efficientnet")):
        (name,) = final_layer_names(module)
        assert module.get_submodule(name) is head_of(module)
