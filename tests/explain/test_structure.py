from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from explain import attribute, class_weights, find_structure, structure
from explain.layout import Layout, layouts
from explain.structure import is_local
from tests.explain.conftest import tiny


class FakeViT(nn.Module):
    """Patches, prefix tokens, one norm; the class is the mean of the patches. NCHW, NHWC or tokens by choice."""

    def __init__(self, order: str, prefix: int = 0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.order, self.num_prefix_tokens = order, prefix
        self.embed = nn.Conv2d(3, 12, 8, stride=8)
        self.prefix = nn.Parameter(torch.randn(1, prefix, 12)) if prefix else None
        self.norm = nn.Identity()
        self.head = nn.Linear(12, 4)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        grid = self.embed(inputs).tanh()
        if self.order == "NCHW":
            return self.head(self.norm(grid).mean((2, 3)))
        if self.order == "NHWC":
            return self.head(self.norm(grid.permute(0, 2, 3, 1)).mean((1, 2)))
        tokens = grid.flatten(2).transpose(1, 2)
        if self.prefix is not None:
            tokens = torch.cat([self.prefix.expand(len(tokens), -1, -1), tokens], 1)
        return self.head(self.norm(tokens)[:, self.num_prefix_tokens :].mean(1))


@pytest.mark.parametrize("prefix", [0, 1, 5])
@pytest.mark.parametrize("size", [(64, 64), (64, 96)])
def test_prefix_tokens_are_dropped_and_the_map_equals_that_of_the_convolutional_twin(
    prefix: int, size: tuple[int, int]
) -> None:
    inputs, weights = torch.randn(2, 3, *size), class_weights(torch.tensor([0, 1]), 4)
    twin, model = FakeViT("NCHW").eval(), FakeViT("tokens", prefix).eval()
    model.load_state_dict(twin.state_dict(), strict=False)
    structure = find_structure(model, inputs)
    assert structure.sites[0].path == "norm"
    assert structure.sites[0].layout == Layout(order="tokens", grid=(size[0] // 8, size[1] // 8), prefix=prefix)
    torch.testing.assert_close(
        attribute(model, inputs, weights, structure=structure).maps, attribute(twin, inputs, weights).maps
    )


def test_channels_last_and_channels_first_twins_have_equal_maps() -> None:
    inputs, weights = torch.randn(2, 3, 64, 96), class_weights(torch.tensor([0, 1]), 4)
    first, last = FakeViT("NCHW").eval(), FakeViT("NHWC").eval()
    structure = find_structure(last, inputs)
    assert structure.sites[0].layout.order == "NHWC"
    torch.testing.assert_close(attribute(last, inputs, weights).maps, attribute(first, inputs, weights).maps)


def test_after_the_last_block_of_a_class_token_vit_the_layer_before_is_taken() -> None:
    structure = find_structure(tiny("test_vit"), torch.randn(1, 3, 160, 160))
    assert structure.family == "vit"
    assert structure.sites[0].path == "blocks.5.norm1"
    assert structure.sites[0].layout == Layout(order="tokens", grid=(10, 10), prefix=1)
    assert len(structure.attention) == 6


def test_attention_matrices_are_looked_at_but_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of a ViT at 768 pixels they took 22 GB.
    kept: list[int] = []
    recording = structure._recording

    @contextmanager
    def watched(model: nn.Module, calls: list[structure._Call], wanted: object) -> Iterator[None]:
        with recording(model, calls, wanted):
            yield
        kept.extend(call.output.shape[-1] for call in calls)

    monkeypatch.setattr(structure, "_recording", watched)
    found = find_structure(tiny("test_vit"), torch.randn(1, 3, 160, 160))
    assert len(found.attention) == 6
    assert kept
    assert 10 * 10 + 1 not in kept  # tokens


def test_a_wrong_layout_is_not_local_and_the_right_one_is() -> None:
    change = torch.zeros(4, 6, 6, 3)
    change[0, :2, :2], change[1, :2, 4:], change[2, 4:, :2], change[3, 4:, 4:] = 1, 1, 1, 1
    assert is_local(Layout(order="NHWC", grid=(6, 6)), change)
    assert not is_local(Layout(order="NHWC", grid=(6, 6)), change.transpose(1, 2))  # rows taken for columns
    assert not is_local(Layout(order="NHWC", grid=(6, 6)), change.flip(0))


def test_a_number_of_tokens_is_not_taken_for_a_side() -> None:
    assert layouts((2, 12, 197, 197), (224, 224), None, None) == []
    assert [layout.order for layout in layouts((2, 7, 7, 768), (224, 224), "NHWC", None)] == ["NHWC"]


FAMILIES = [
    "test_byobnet", "test_convnext", "test_convnext2", "test_convnext3", "test_efficientnet",
    "test_efficientnet_evos", "test_efficientnet_gn", "test_efficientnet_ln", "test_mambaout", "test_nfnet",
    "test_resnet", "test_vit", "test_vit2", "test_vit3", "test_vit4", "mobilenetv3_small_050", "resnet10t",
    "lcnet_050", "hardcorenas_a", "ghostnet_050", "regnetx_002", "repvgg_a0", "semnasnet_050", "tinynet_e",
    "xcit_nano_12_p16_224", "starnet_s050", "pit_ti_224", "mobilevitv2_050",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.filterwarnings("ignore::UserWarning:timm")
def test_every_family_gives_a_finite_map_of_the_right_size_or_a_named_fallback(name: str) -> None:
    model = tiny(name, num_classes=6)
    side = model.pretrained_cfg["input_size"][-1]
    inputs = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    found = attribute(model, inputs, class_weights(torch.tensor([0, 5]), 6), method="hirescam")
    assert found.maps.shape == (2, side, side)
    assert bool(torch.isfinite(found.maps).all())
    assert bool((found.maps.flatten(1).std(1) > 0).all())
    assert (found.method == "hirescam") != bool(found.fallback)
