"""The sanity gate: four questions that a method must answer on a model before its maps are believed.

Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018, arXiv:1810.03292.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from explain.attribution import Attribution, class_weights
from explain.faithfulness import FloatArray
from explain.isolation import isolated
from explain.null import Null
from explain.structure import logits

#: Rank correlation above which two maps count as the same.
SAME = 0.9
#: Completeness error of path methods that is still accepted.
COMPLETENESS = 0.05
#: Images whose maps, where they all change or all stay, answer for the rest.
_ENOUGH = 4

#: ``maps(model, inputs, weights)``.
MakeMaps = Callable[[nn.Module, Tensor, Tensor], Attribution]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One question of the gate.

    Attributes:
        question: ``above-null``, ``changes-with-the-model``, ``changes-with-the-class`` or ``adds-up``.
        passed: Whether the method may be believed in this respect.
        value: The statistic.
        limit: What it had to be.
        message: One sentence for a person.
    """

    question: str
    passed: bool
    value: float
    limit: float
    message: str


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The gate of one model and method.

    Attributes:
        method: The method's name.
        answers: One for each question that applies.
        sample_size: Images asked, at most.
    """

    method: str
    answers: tuple[Answer, ...]
    sample_size: int

    @property
    def passed(self) -> bool:
        """Whether every question was answered well."""
        return all(a.passed for a in self.answers)


def sanity_gate(
    model: nn.Module,
    inputs: Tensor,
    weights: Tensor,
    make_maps: MakeMaps,
    *,
    first: Attribution,
    shares: FloatArray,
    null: Null,
    seed: int = 0,
) -> Gate:
    """Ask the four questions on calibration images.

    Args:
        model: The classifier; it is left as it came (a copy is re-initialised).
        inputs: Calibration images.
        weights: Their targets.
        make_maps: The method, bound to its settings.
        first: Its maps of these images.
        shares: Gains of its maps on these images, or more, as shares of their spans, in the null's steps.
        null: What maps that know nothing reach.
        seed: Of the re-initialisation.
    """
    broken, second = reinitialised(model, inputs, seed=seed), _second(model, inputs, weights)

    def alike(subject: nn.Module, targets: Tensor) -> FloatArray:
        """Rank correlations with other maps of the same images, until some in a row say the same."""
        found = np.zeros(0)
        for part in torch.split(torch.arange(len(inputs)), _ENOUGH):
            others = make_maps(subject, inputs[part], targets[part]).maps
            found = np.append(found, rank_correlation(first.maps[part], others))
            if (found < SAME).all() or (found >= SAME).all():
                break
        return found

    answers = [
        _above_null(shares, null),
        _changes("changes-with-the-model", alike(broken, weights)),
        _changes("changes-with-the-class", alike(model, second)),
    ]
    if first.completeness_error is not None:
        answers.append(_adds_up(first.completeness_error))
    return Gate(method=first.method, answers=tuple(answers), sample_size=len(inputs))


def _above_null(shares: FloatArray, null: Null) -> Answer:
    # Welch's statistic; 1.645 is a one-sided 5 %.
    error = (
        np.sqrt(shares.var(ddof=1) / len(shares) + null.deviation**2 / len(null.shares)) if len(shares) > 1 else np.inf
    )
    t = float((shares.mean() - null.mean) / max(error, 1e-12))
    word = "better than" if t > 1.645 else "no better than"
    message = f"On average the maps are {word} those of other images (t = {t:.1f})."
    return Answer(question="above-null", passed=t > 1.645, value=t, limit=1.645, message=message)


def _changes(question: str, alike: FloatArray) -> Answer:
    value = float(np.median(alike))
    thing = "head and last block are" if question.endswith("model") else "class is"
    verb = "change" if value < SAME else "hardly change"
    message = f"The maps {verb} when the {thing} another (rank correlation {value:.2f})."
    return Answer(question=question, passed=value < SAME, value=value, limit=SAME, message=message)


def _adds_up(error: float) -> Answer:
    word = "add up" if error <= COMPLETENESS else "do not add up"
    message = f"The maps {word} to the score's rise (median error {error:.1%})."
    return Answer(question="adds-up", passed=error <= COMPLETENESS, value=error, limit=COMPLETENESS, message=message)


def rank_correlation(maps: Tensor, others: Tensor) -> FloatArray:
    """Spearman's correlation of pairs of maps, ``(n,)``, on at most 28 x 28 cells; 1 where both are constant."""
    size = min(28, maps.shape[1]), min(28, maps.shape[2])
    ranks = [
        _ranks(nn.functional.adaptive_avg_pool2d(m.double()[:, None], size).flatten(1).numpy()) for m in (maps, others)
    ]
    first, second = (r - r.mean(1, keepdims=True) for r in ranks)
    norm = np.sqrt((first**2).sum(1) * (second**2).sum(1))
    constant = [r.std(1) == 0 for r in ranks]
    return np.where(constant[0] & constant[1], 1.0, (first * second).sum(1) / np.maximum(norm, 1e-12))


def _ranks(values: FloatArray) -> FloatArray:
    """Ranks with ties shared, each row for itself."""
    ranks = np.empty_like(values)
    for row, out in zip(values, ranks, strict=True):
        _, inverse, counts = np.unique(row, return_inverse=True, return_counts=True)
        out[:] = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks


def _second(model: nn.Module, inputs: Tensor, weights: Tensor) -> Tensor:
    """The likeliest class that the target does not speak for."""
    with isolated(model), torch.no_grad():
        scores = logits(model(inputs)).float()
    other = scores.masked_fill(weights.to(scores.device) > 0, -torch.inf).argmax(1)
    return class_weights(other, scores.shape[1])


def reinitialised(model: nn.Module, inputs: Tensor, *, seed: int = 0) -> nn.Module:
    """A copy of the model whose last layers with parameters, the head and what feeds it, hold random numbers.

    Each tensor is shuffled, so that its size and spread stay and only what was learnt goes.
    """
    copied = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    order: list[nn.Module] = []
    handles = [
        m.register_forward_hook(lambda module, _args, _out: order.append(module))
        for m in copied.modules()
        if any(True for _ in m.parameters(recurse=False)) and any(p.ndim >= 2 for p in m.parameters(recurse=False))
    ]
    try:
        with isolated(copied), torch.no_grad():
            copied(inputs[:1])
    finally:
        for handle in handles:
            handle.remove()
    with torch.no_grad():
        for module in list(dict.fromkeys(reversed(order)))[:4]:
            for parameter in module.parameters(recurse=False):
                flat = parameter.flatten()
                shuffled = flat[torch.randperm(flat.numel(), generator=generator).to(flat.device)]
                parameter.copy_(shuffled.view_as(parameter))
    return copied
