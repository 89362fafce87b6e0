"""LeNet-5 against the figures of its paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch.nn import functional

from zoo.catalog import card
from zoo.models.lenet.network import LeNet5, ScaledTanh
from zoo.weights import fingerprint, load


def _count(*layers: torch.nn.Module) -> int:
    return sum(parameter.numel() for layer in layers for parameter in layer.parameters())


def test_each_layer_has_as_many_parameters_as_in_the_paper() -> None:
    net = LeNet5()
    counts = [_count(layer) for layer in (net.c1, net.s2, net.c3, net.s4, net.c5, net.f6)]
    assert counts == [156, 12, 1516, 32, 48120, 10164]
    assert sum(counts) == 60_000
    assert _count(net) == card("lenet5").parameters


def test_a_map_of_c3_does_not_see_maps_it_is_not_connected_to() -> None:
    net = LeNet5()
    inputs = torch.randn(1, 6, 14, 14)
    changed = inputs.clone()
    changed[:, 3:] += 1  # the first map of C3 sees the maps 0, 1 and 2
    before, after = net.c3(inputs), net.c3(changed)
    torch.testing.assert_close(after[:, 0], before[:, 0])
    assert not torch.allclose(after[:, 15], before[:, 15])


def test_the_sparse_convolution_is_a_convolution_with_zeros() -> None:
    net = LeNet5()
    dense = torch.zeros(16, 6, 5, 5)
    dense[net.c3.connected] = net.c3.weight.detach()
    inputs = torch.randn(2, 6, 14, 14)
    torch.testing.assert_close(net.c3(inputs), functional.conv2d(inputs, dense, net.c3.bias))
    assert int(net.c3.connected[:, :, 0, 0].sum()) == 60


def test_the_squashing_function_fixes_plus_and_minus_one() -> None:
    torch.testing.assert_close(ScaledTanh()(torch.tensor([-1.0, 0, 1])), torch.tensor([-1.0, 0, 1]), rtol=0, atol=1e-3)


def test_ground_becomes_minus_a_tenth_and_ink_one_and_a_bit() -> None:
    preprocess = card("lenet5").preprocess
    pixels = preprocess.pixels(Image.fromarray(np.array([[[0] * 3, [255] * 3]], dtype=np.uint8)).resize((64, 64)))
    values = preprocess.normalise(torch.from_numpy(pixels.copy())[None])
    assert values.shape == (1, 1, 32, 32)
    assert float(values.min()) == pytest.approx(-0.1, abs=1e-5)
    assert float(values.max()) == pytest.approx(1.175, abs=1e-5)


def test_it_starts_from_the_same_weights_every_time_and_leaves_the_random_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second = load(card("lenet5")), load(card("lenet"))
    torch.testing.assert_close(torch.rand(1), expected)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    assert fingerprint(card("lenet5")) == fingerprint(card("lenet"))


@pytest.mark.slow
def test_it_learns_handwritten_digits() -> None:
    torch.manual_seed(0)
    digits = load_digits()
    images = torch.from_numpy(digits.images).float()[:, None] / 16 * 1.275 - 0.1
    images, labels = functional.interpolate(images, (32, 32), mode="bilinear"), torch.from_numpy(digits.target)
    net = LeNet5()
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    train, test = slice(0, 1300), slice(1300, None)
    for _ in range(16):
        for batch in torch.randperm(1300).split(32):
            optimizer.zero_grad()
            functional.cross_entropy(net(images[train][batch]), labels[train][batch]).backward()
            optimizer.step()
    accuracy = (net(images[test]).argmax(1) == labels[test]).float().mean()
    assert float(accuracy) > 0.85
