"""Multinomial logistic regression on frozen features: one solver for one fit, for k folds at once, for a million rows.

The objective is scikit-learn's: ``strength * sum_i weight_i * loss_i + |W|^2 / 2`` over standardised features, the bias
free. Three things make it quick. All folds are one problem, so each step is one matrix product over the rows. The
unknowns are rotated and scaled so that the curvature is about one in every direction (an upper bound of it is known in
closed form: Boehning 1992, doi:10.1007/BF00048682), which saves two steps of L-BFGS in three. And where there are many
rows, standardising happens to the weights instead: float16 rows on a disk are read block by block, never copied whole.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

FloatArray = npt.NDArray[np.floating]

_BLOCK = 1 << 22  # scores held at a time: rows x folds x classes
_CURVATURE_ROWS = 20_000  # the scaling needs the covariance roughly only
_CURVATURE = (
    0.03  # typical p (1 - p) of one class near the optimum; anything from 0.01 to 0.1 takes about as many steps
)


@dataclass(frozen=True, kw_only=True)
class Basis:
    """Coordinates in which the problem is well scaled: ``z = ((x - mean) / scale) @ rotation``.

    Attributes:
        mean: ``(d,)``.
        scale: Standard deviation, ``(d,)``; 1 where a feature does not vary.
        rotation: Eigenvectors of the correlation matrix, ``(d, r)``.
        spectrum: Their eigenvalues, ``(r,)``.
    """

    mean: Tensor
    scale: Tensor
    rotation: Tensor
    spectrum: Tensor


@dataclass(frozen=True, kw_only=True)
class Point:
    """Unknowns of all folds in the rotated coordinates: weight ``(k, C, r)`` and bias ``(k, C)``."""

    weight: Tensor
    bias: Tensor


class Problem:
    """Rows, labels and the weight of each row in each of k fits.

    Args:
        x: Features, ``(n, d)``; float16 is fine and may lie on a disk.
        y: Class of each row, ``(n,)``.
        num_classes: C.
        weights: Weight of each row in each fit, ``(n, k)``; 0 leaves a row out.
        device: Where to compute.
    """

    def __init__(
        self, x: FloatArray, y: npt.NDArray[np.integer], num_classes: int, weights: FloatArray, *, device: str
    ) -> None:
        self.device = torch.device(device)
        self.x = x
        self.y = torch.from_numpy(np.ascontiguousarray(y, dtype=np.int64)).to(self.device)
        self.num_classes = num_classes
        self._weigh(torch.from_numpy(np.array(weights, dtype=np.float32)).to(self.device))
        # Few rows are held standardised and rotated; many are read block by block, raw, at every step.
        self._held: Tensor | None = None
        with _threads(1 if self.small else torch.get_num_threads()):
            self.basis = _basis(self)
        if self.small:
            rows = self._tensor(slice(None))
            self._held = (rows - self.basis.mean) / self.basis.scale @ self.basis.rotation

    @property
    def small(self) -> bool:
        """Whether the rows are held in memory, and a fit of them is too little work to be spread over cores."""
        return len(self.x) <= _CURVATURE_ROWS

    def _weigh(self, weights: Tensor) -> None:
        self.weights = weights.contiguous()
        self.total = self.weights.sum(0)
        self._rows = max(256, _BLOCK // (self.num_classes * weights.shape[1] + self.x.shape[1]))

    def reweighted(self, weights: Tensor) -> Problem:
        """The same rows in the same basis with other weights, ``(n, k)``."""
        other = copy.copy(self)
        other._weigh(weights)  # noqa: SLF001 - of this class
        return other

    def _tensor(self, rows: slice) -> Tensor:
        return torch.from_numpy(np.array(self.x[rows])).to(self.device).float()

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """The rows in order, some thousand at a time, float32 on the device."""
        for start in range(0, len(self.x), self._rows):
            rows = slice(start, min(start + self._rows, len(self.x)))
            yield rows, self._tensor(rows) if self._held is None else self._held[rows]

    def origin(self) -> Point:
        """Where a path starts: all zero."""
        k, r = self.weights.shape[1], len(self.basis.spectrum)
        weight = torch.zeros(k, self.num_classes, r, device=self.device)
        return Point(weight=weight, bias=torch.zeros(k, self.num_classes, device=self.device))

    def affine(self, point: Point) -> tuple[Tensor, Tensor]:
        """The weight ``(k, C, d)`` and bias ``(k, C)`` that apply to raw features."""
        weight = point.weight @ self.basis.rotation.T / self.basis.scale
        return weight, point.bias - weight @ self.basis.mean

    def locate(self, weight: Tensor, bias: Tensor) -> Point:
        """The inverse of ``affine``."""
        return Point(weight=weight * self.basis.scale @ self.basis.rotation, bias=bias + weight @ self.basis.mean)

    def _own(self, point: Point) -> tuple[Tensor, Tensor]:
        """The weight ``(k, C, d)`` and bias that apply to what ``blocks`` yields."""
        return self.affine(point) if self._held is None else (point.weight, point.bias)

    def scores(self, point: Point) -> Iterator[tuple[slice, Tensor]]:
        """Logits of every row under every fit, block by block, ``(k, C, rows)``."""
        weight, bias = self._own(point)
        for rows, x in self.blocks():
            # Few classes times many rows: with the rows last, the product takes half the time.
            yield rows, (weight.flatten(0, 1) @ x.T).view(*bias.shape, -1) + bias[:, :, None]

    def loss(self, point: Point, strength: float) -> tuple[Tensor, Point]:
        """Sum over the fits of the weighted mean loss plus the penalty, and its gradient."""
        share = (self.weights / self.total).T
        loss = torch.zeros((), dtype=torch.float64, device=self.device)
        gradient: Tensor | float = 0.0
        bias_gradient = torch.zeros_like(point.bias)
        for (rows, scores), (_, x) in zip(self.scores(point), self.blocks(), strict=True):
            log_p = scores.log_softmax(1)
            target = self.y[rows].expand(len(log_p), 1, -1)
            loss -= (log_p.gather(1, target).squeeze(1) * share[:, rows]).sum()
            residual = log_p.exp_()
            residual.scatter_add_(1, target, residual.new_full((), -1.0).expand_as(target))
            residual *= share[:, None, rows]
            gradient = residual.flatten(0, 1) @ x + gradient
            bias_gradient += residual.sum(2)
        assert isinstance(gradient, Tensor)
        weight_gradient = self._pull_back(gradient.view(*point.bias.shape, -1), bias_gradient)
        decay = 1 / (strength * self.total)[:, None, None]
        loss += (decay * point.weight.square()).sum() / 2
        return loss, Point(weight=weight_gradient + decay * point.weight, bias=bias_gradient)

    def _pull_back(self, gradient: Tensor, bias_gradient: Tensor) -> Tensor:
        """From the gradient ``(k, C, d)`` by the weight of the rows as read to that by the unknowns, ``(k, C, r)``."""
        if self._held is not None:
            return gradient
        return (gradient - bias_gradient[:, :, None] * self.basis.mean) / self.basis.scale @ self.basis.rotation


def _basis(problem: Problem) -> Basis:
    n, d = problem.x.shape
    total = torch.zeros(d, dtype=torch.float64, device=problem.device)
    square = torch.zeros_like(total)
    for _, x in problem.blocks():
        total += x.sum(0)
    mean = (total / n).float()
    for _, x in problem.blocks():
        square += (x - mean).square().sum(0)
    scale = (square / n).sqrt().float()
    scale = torch.where(scale > 1e-6, scale, torch.ones_like(scale))
    sample = np.array(problem.x[:: -(-n // _CURVATURE_ROWS)])
    z = (torch.from_numpy(sample).to(problem.device).float() - mean) / scale
    if n < d:  # the weights lie in the span of the rows
        _, singular, right = torch.linalg.svd(z, full_matrices=False)
        return Basis(mean=mean, scale=scale, rotation=right.T.contiguous(), spectrum=singular.square() / len(z))
    spectrum, rotation = torch.linalg.eigh(z.T @ z / len(z))
    return Basis(mean=mean, scale=scale, rotation=rotation, spectrum=spectrum.clamp_min(0))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Lets PyTorch use so many cores. Threads that wait for each other at every step burn what others need."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def solve(problem: Problem, strength: float, start: Point, *, tolerance: float) -> Point:
    """Minimises the objective of every fit from ``start``.

    On a processor each thread takes some of the fits: they need not wait for each other at every step, which costs
    most where other programs keep the cores busy too.

    Args:
        problem: What is fitted.
        strength: Inverse of the penalty; scikit-learn's ``C``.
        start: The first guess; a neighbour on the path saves most steps.
        tolerance: Largest entry of the scaled gradient of the mean loss at which to stop.

    Returns:
        The minimum.
    """
    fits, cores = len(start.bias), torch.get_num_threads()
    count = min(fits, cores) if problem.device.type == "cpu" else 1
    if count == 1:
        with _threads(1 if problem.small else cores):
            return minimise(problem, strength, start, tolerance=tolerance)
    parts = torch.arange(fits).tensor_split(count)

    def one(part: Tensor) -> Point:
        torch.set_num_threads(cores // count)
        alone = problem.reweighted(problem.weights[:, part])
        point = Point(weight=start.weight[part], bias=start.bias[part])
        return minimise(alone, strength, point, tolerance=tolerance)

    # The count is each thread's own, but new threads take the last one set, so it is set again afterwards.
    with _threads(cores), ThreadPoolExecutor(count) as pool:
        points = list(pool.map(one, parts))
    weight, bias = torch.cat([p.weight for p in points]), torch.cat([p.bias for p in points])
    return Point(weight=weight, bias=bias)


class _LBFGS(torch.optim.LBFGS):
    """PyTorch's, without the decorator that imports PyTorch's compiler, which takes a second."""

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)


def minimise(problem: Problem, strength: float, start: Point, *, tolerance: float, max_steps: int = 300) -> Point:
    """L-BFGS on all fits of the problem as one; see ``solve``. After ``max_steps`` the best point found will do."""
    decay = 1 / (strength * problem.total)
    shape = start.weight.shape
    scaling = (_CURVATURE * problem.basis.spectrum + decay[:, None]).rsqrt()[:, None, :]
    bias_scaling = _CURVATURE**-0.5
    unknowns = torch.cat([(start.weight / scaling).flatten(), (start.bias / bias_scaling).flatten()])
    split = start.weight.numel()

    def point() -> Point:
        weight, bias = unknowns[:split].view(shape), unknowns[split:].view_as(start.bias)
        return Point(weight=weight * scaling, bias=bias * bias_scaling)

    @torch.no_grad()
    def closure() -> float:
        loss, gradient = problem.loss(point(), strength)
        unknowns.grad = torch.cat([(gradient.weight * scaling).flatten(), (gradient.bias * bias_scaling).flatten()])
        return float(loss)

    optimiser = _LBFGS(
        [unknowns],
        max_iter=max_steps,
        tolerance_grad=tolerance,
        tolerance_change=0,
        history_size=10,
        line_search_fn="strong_wolfe",
    )
    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return point()
