from __future__ import annotations

import numpy as np
import torch
from torch import nn

from explain.influence import influence, most_influential, neighbours, residuals, self_influence


def data(seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 6, generator=generator), torch.randint(0, 4, (count,), generator=generator)


def gradients(head: nn.Linear, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    rows = []
    for x, y in zip(features, labels, strict=True):
        loss = nn.functional.cross_entropy(head(x[None]), y[None])
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, [head.weight, head.bias])]))
    return torch.stack(rows)


def test_the_closed_form_equals_the_dot_products_of_autograds_gradients() -> None:
    torch.manual_seed(0)
    head = nn.Linear(6, 4)
    (x, y), (train_x, train_y) = data(1, 5), data(2, 9)
    residual = residuals(head(x).softmax(1).detach().numpy(), y.numpy())
    train_residual = residuals(head(train_x).softmax(1).detach().numpy(), train_y.numpy())
    found = influence(x.numpy(), residual, train_x.numpy(), train_residual)
    own, theirs = gradients(head, x, y), gradients(head, train_x, train_y)
    np.testing.assert_allclose(found, (own @ theirs.T).numpy(), atol=1e-5)
    np.testing.assert_allclose(self_influence(x.numpy(), residual), own.square().sum(1).numpy(), rtol=1e-4, atol=1e-5)


def test_neighbours_are_the_most_similar_and_ties_keep_their_order() -> None:
    others = np.array([[1, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
    order, similarity = neighbours(np.array([[2, 0]], dtype=np.float32), others, 3)
    assert order.tolist() == [[0, 2, 3]]
    np.testing.assert_allclose(similarity, [[1, 1, 0.5**0.5]], rtol=1e-6)
    assert neighbours(others, others, 99)[0].shape == (4, 4)


def test_the_most_influential_come_first() -> None:
    assert most_influential(np.array([[0.1, 3.0, -5.0, 2.0]], dtype=np.float32), 2).tolist() == [[1, 3]]
