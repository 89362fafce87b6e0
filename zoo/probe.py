"""The linear probe: the best linear head on frozen features, chosen by cross-validation, as one plain affine map.

Recipe after Kornblith (arXiv 1805.08974) and Head2Toe (arXiv 2201.03529): logistic regression on standardised
features where there are images enough; with fewer than 16 a class, shrinkage discriminant analysis or ridge regression.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from zoo.fewshot import PENALTIES, fits, log_loss, temperature
from zoo.logistic import FloatArray, Point, Problem, solve

IntArray = npt.NDArray[np.integer]
Float32Array = npt.NDArray[np.float32]
Method = Literal["logistic", "lda", "ridge"]

#: The strengths tried, weakest fit first; each step is a factor of three.
STRENGTHS: tuple[float, ...] = tuple(float(f"{c:.3g}") for c in np.geomspace(1e-4, 2, 10))
FEW = 16  # images a class, on average, below which logistic regression is not tried
CHOICE_ROWS = 10_000  # the strength is chosen on at most so many images
_GAIN = 0.005  # a step on the path that lowers the log loss by less, as a share, is the last
_PATH_TOLERANCE = 1e-3
_TOLERANCE = 3e-5
_LARGE_TOLERANCE = 3e-4  # looser where a step reads a million rows


@dataclass(frozen=True, kw_only=True)
class Head:
    """An affine classifier on raw features: ``logits = x @ weight.T + bias``.

    Attributes:
        weight: ``(C, d)`` float32.
        bias: ``(C,)`` float32.
    """

    weight: Float32Array
    bias: Float32Array

    def logits(self, x: FloatArray) -> Float32Array:
        """Scores ``(n, C)`` of features ``(n, d)``."""
        out = np.empty((len(x), len(self.bias)), dtype=np.float32)
        for start in range(0, len(x), 8192):  # float16 rows are converted some at a time
            rows = slice(start, start + 8192)
            out[rows] = x[rows].astype(np.float32) @ self.weight.T + self.bias
        return out

    def probabilities(self, x: FloatArray) -> Float32Array:
        """Class probabilities ``(n, C)`` of features ``(n, d)``; rows sum to one."""
        return softmax(self.logits(x))


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A head and how good it is on images it has not seen.

    Attributes:
        head: Fitted on all images.
        method: What kind of classifier won.
        strength: The regularisation chosen (scikit-learn's ``C`` for logistic regression, the penalty for ridge, the
            Ledoit-Wolf share for LDA).
        accuracy: Cross-validated, as a fraction; class-weighted where class weights were given.
        out_of_fold: Probabilities ``(n, C)`` of each image from a head that has not seen its fold.
    """

    head: Head
    method: Method
    strength: float
    accuracy: float
    out_of_fold: Float32Array


def softmax(logits: FloatArray) -> Float32Array:
    """Probabilities of scores ``(n, C)``."""
    exponent = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float32)
    return np.asarray(exponent / exponent.sum(axis=1, keepdims=True), dtype=np.float32)


def fit_head(
    x: FloatArray,
    y: IntArray,
    num_classes: int,
    *,
    strength: float,
    weights: FloatArray | None = None,
    device: str = "cpu",
) -> Head:
    """Multinomial logistic regression on standardised features, folded back onto raw ones.

    Args:
        x: Features, ``(n, d)``, float16 or float32.
        y: Class of each image, ``(n,)``, in ``[0, num_classes)``. A class may be absent.
        num_classes: C.
        strength: scikit-learn's ``C``; > 0.
        weights: Weight of each image, ``(n,)``; all one where not given.
        device: Where to compute.

    Returns:
        The head.
    """
    problem = Problem(x, y, num_classes, _rows(weights, len(y))[:, None], device=device)
    return _head(problem, solve(problem, strength, problem.origin(), tolerance=_TOLERANCE))


def out_of_fold(
    x: FloatArray,
    y: IntArray,
    num_classes: int,
    folds: IntArray,
    *,
    strength: float,
    weights: FloatArray | None = None,
    device: str = "cpu",
) -> Float32Array:
    """Probabilities ``(n, C)`` of each image from a logistic regression fitted on all folds but its own.

    Features are standardised over all images: their scale tells nothing of the labels, and a feature that is constant
    in one fold only cannot blow up.
    """
    problem = _folded(x, y, num_classes, folds, _rows(weights, len(y)), device)
    point = solve(problem, strength, problem.origin(), tolerance=_TOLERANCE)
    return softmax(_held_out(problem, point, folds))


def probe(
    x: FloatArray,
    y: IntArray,
    num_classes: int,
    *,
    folds: IntArray,
    class_weights: FloatArray | None = None,
    device: str = "cpu",
) -> Probe:
    """The best linear head by cross-validation.

    The strength with the lowest cross-validated log loss wins: it is smoother than accuracy, so it chooses the same
    on another draw of the folds, and its probabilities can be believed.

    Args:
        x: Features, ``(n, d)``, float16 or float32; may lie on a disk.
        y: Class of each image, ``(n,)``, in ``[0, num_classes)``.
        num_classes: C.
        folds: Fold number of each image, ``(n,)``; copies of one picture share a fold.
        class_weights: Weight of each class, ``(C,)``; all one where not given.
        device: Where to compute.

    Returns:
        The probe. The same arguments give the same numbers on one machine.
    """
    weights = np.ones(len(y)) if class_weights is None else np.asarray(class_weights, dtype=np.float64)[y]
    if len(y) < FEW * num_classes:
        return _few_shot(x, y, num_classes, folds, weights)
    if len(y) > 2 * CHOICE_ROWS:
        return _large(x, y, num_classes, folds, weights, device)
    problem = _folded(x, y, num_classes, folds, weights, device)
    strength, point, held_out = _path(problem, y, folds, weights)
    head = _whole(problem, weights, strength, point, tolerance=_TOLERANCE)
    return _result(head, "logistic", strength, held_out, y, weights)


def _large(x: FloatArray, y: IntArray, num_classes: int, folds: IntArray, weights: FloatArray, device: str) -> Probe:
    """Chooses the strength on a sample of the images, then fits once on all."""
    # Every k-th of the images ordered by class and fold keeps the shares of both and needs no seed.
    chosen = np.sort(np.lexsort((folds, y))[:: -(-len(y) // CHOICE_ROWS)])
    sample = _folded(x[chosen], y[chosen], num_classes, folds[chosen], weights[chosen], device)
    strength, near, _ = _path(sample, y[chosen], folds[chosen], weights[chosen])
    problem = _folded(x, y, num_classes, folds, weights, device)
    point = solve(problem, strength, problem.locate(*sample.affine(near)), tolerance=_LARGE_TOLERANCE)
    held_out = _held_out(problem, point, folds)
    head = _whole(problem, weights, strength, point, tolerance=_LARGE_TOLERANCE)
    return _result(head, "logistic", strength, held_out, y, weights)


def _whole(problem: Problem, weights: FloatArray, strength: float, point: Point, *, tolerance: float) -> Head:
    """The head on all rows. The mean of the folds' heads is a guess so near that a few steps are left."""
    whole = problem.reweighted(torch.from_numpy(np.array(weights[:, None], dtype=np.float32)).to(problem.device))
    start = Point(weight=point.weight.mean(0, keepdim=True), bias=point.bias.mean(0, keepdim=True))
    return _head(whole, solve(whole, strength, start, tolerance=tolerance))


def _path(problem: Problem, y: IntArray, folds: IntArray, weights: FloatArray) -> tuple[float, Point, Float32Array]:
    """Follows the strengths upwards while the cross-validated log loss falls."""
    point = problem.origin()
    best: tuple[float, float, Point, Float32Array] | None = None
    for strength in STRENGTHS:
        point = solve(problem, strength, point, tolerance=_PATH_TOLERANCE)
        held_out = _held_out(problem, point, folds)
        loss = log_loss(held_out, y, weights)
        if best is not None and loss > (1 - _GAIN) * best[0]:
            break
        best = (loss, strength, point, held_out)
    assert best is not None
    return best[1:]


def _rows(weights: FloatArray | None, n: int) -> FloatArray:
    return np.ones(n) if weights is None else weights


def _folded(x: FloatArray, y: IntArray, num_classes: int, folds: IntArray, weights: FloatArray, device: str) -> Problem:
    inside = folds[:, None] != np.unique(folds)[None, :]
    return Problem(x, y, num_classes, inside * weights[:, None], device=device)


def _held_out(problem: Problem, point: Point, folds: IntArray) -> Float32Array:
    """Logits ``(n, C)`` of each row from the fit that left it out."""
    own = torch.from_numpy(np.searchsorted(np.unique(folds), folds)).to(problem.device)
    out = np.empty((len(folds), problem.num_classes), dtype=np.float32)
    for rows, scores in problem.scores(point):
        number = torch.arange(scores.shape[2], device=scores.device)
        out[rows] = scores[own[rows], :, number].cpu().numpy()
    return out


def _head(problem: Problem, point: Point) -> Head:
    weight, bias = problem.affine(point)
    return Head(weight=weight[0].cpu().numpy(), bias=bias[0].cpu().numpy())


def _result(
    head: Head, method: Method, strength: float, held_out: Float32Array, y: IntArray, weights: FloatArray
) -> Probe:
    hits = held_out.argmax(axis=1) == y
    return Probe(
        head=head,
        method=method,
        strength=strength,
        accuracy=float(np.average(hits, weights=weights)),
        out_of_fold=softmax(held_out),
    )


def _few_shot(x: FloatArray, y: IntArray, num_classes: int, folds: IntArray, weights: FloatArray) -> Probe:
    """The candidate that is right on most held-out images; of equals, the one whose probabilities fit better."""
    rows = np.asarray(x, dtype=np.float64)
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    scale[scale < 1e-6] = 1
    z = (rows - mean) / scale
    trials = 1 + len(PENALTIES)
    held_out = np.empty((trials, len(y), num_classes))
    for fold in np.unique(folds):
        inside = folds != fold
        for trial, fit in enumerate(fits(z[inside], y[inside], num_classes, weights[inside])):
            held_out[trial, ~inside] = z[~inside] @ fit.weight + fit.bias
    factors = [temperature(scores, y, weights) for scores in held_out]
    hits = [np.average(scores.argmax(axis=1) == y, weights=weights) for scores in held_out]
    losses = [log_loss(scores * factor, y, weights) for scores, factor in zip(held_out, factors, strict=True)]
    best = min(range(trials), key=lambda trial: (-hits[trial], losses[trial]))
    chosen = list(fits(z, y, num_classes, weights))[best]
    weight = chosen.weight / scale[:, None]
    head = Head(
        weight=np.ascontiguousarray(weight.T * factors[best], dtype=np.float32),
        bias=np.asarray((chosen.bias - mean @ weight) * factors[best], dtype=np.float32),
    )
    scores = np.asarray(held_out[best] * factors[best], dtype=np.float32)
    return _result(head, chosen.method, chosen.strength, scores, y, weights)
