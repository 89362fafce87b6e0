"""CaiT reads its patches in class-attention blocks only: its native map against arithmetic of our own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from timm.models.cait import Cait
from torch import nn

from explain import attribute, class_weights, find_structure
from explain.layout import Layout
from explain.structure import logits

GRID = (4, 6)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    # Layer scales of 1e-4, its start, would leave next to nothing of what attention finds.
    made: nn.Module = Cait(img_size=(32, 48), patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=5, init_values=0.7)  # fmt: skip
    return made.double().eval()


def last_tokens(model: Any, inputs: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The class token as it comes to the last block, and what that block's first norm gives, both of one image."""
    with torch.no_grad():
        patches = model.blocks(model.patch_embed(inputs) + model.pos_embed)
        token = model.blocks_token_only[0](patches, model.cls_token)
        normed = model.blocks_token_only[1].norm1(torch.cat([token, patches], 1))
    return token[0, 0].numpy(), normed[0].numpy()


def score(model: Any, token: np.ndarray, tokens: np.ndarray, label: int) -> float:
    """The logit from the last block on, from the paper's equations (Touvron et al. 2021, arXiv:2103.17239, eq. 4-7)."""
    state = {name: value.numpy() for name, value in model.state_dict().items()}

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        return (x - x.mean()) / np.sqrt(x.var() + 1e-6) * state[f"{name}.weight"] + state[f"{name}.bias"]

    block, heads = "blocks_token_only.1", 3
    width = tokens.shape[1] // heads
    query, keys, values = (
        linear(f"{block}.attn.{name}", x).reshape(-1, heads, width)
        for name, x in (("q", tokens[:1]), ("k", tokens), ("v", tokens))
    )
    attention = np.exp(np.einsum("qhd,khd->hk", query, keys) / np.sqrt(width))
    attention /= attention.sum(1, keepdims=True)
    seen = linear(f"{block}.attn.proj", np.einsum("hk,khd->hd", attention, values).ravel())
    token = token + state[f"{block}.gamma_1"] * seen
    hidden = linear(f"{block}.mlp.fc1", norm(f"{block}.norm2", token))
    gelu = hidden * np.array([0.5 * (1 + torch.erf(torch.tensor(h / 2**0.5)).item()) for h in hidden])
    token = token + state[f"{block}.gamma_2"] * linear(f"{block}.mlp.fc2", gelu)
    return float(linear("head", norm("norm", token))[label])


def test_the_equations_give_the_models_own_score(model: nn.Module) -> None:
    inputs = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        expected = logits(model(inputs))[0, 2].item()
    assert score(model, *last_tokens(model, inputs), 2) == pytest.approx(expected, abs=1e-9)


def test_the_native_map_is_what_scaling_each_patch_does_to_the_score(model: nn.Module) -> None:
    inputs = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(1)).double()
    structure = find_structure(model, inputs)
    assert structure.sites[0].path == "blocks_token_only.1.norm1"
    assert structure.sites[0].layout == Layout(order="tokens", grid=GRID, prefix=1)
    found = attribute(model, inputs, class_weights(torch.tensor([2]), 5), method="hirescam", structure=structure)
    assert not found.fallback
    token, tokens = last_tokens(model, inputs)
    # Sum of feature times gradient = slope of the score as the patch's features are scaled; by central differences.
    slopes = []
    for patch in range(1, len(tokens)):
        scores = []
        for by in (1 + 1e-4, 1 - 1e-4):
            scaled = tokens.copy()
            scaled[patch] *= by
            scores.append(score(model, token, scaled, 2))
        slopes.append((scores[0] - scores[1]) / 2e-4)
    grid = torch.tensor(slopes, dtype=torch.float64).view(1, 1, *GRID)
    expected = nn.functional.interpolate(grid, size=(32, 48), mode="bilinear", align_corners=False)[0, 0]
    torch.testing.assert_close(found.maps[0].double(), expected, rtol=1e-4, atol=1e-7)
    assert float(expected.std()) > 1e-4
