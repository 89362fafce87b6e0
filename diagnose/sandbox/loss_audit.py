"""The loss as a function of the outputs: their step is driven with a stand-in model that returns chosen outputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from diagnose.sandbox.measurements import LossFacts, OutputDomain
from diagnose.sandbox.model_audit import domain_of
from diagnose.sandbox.pictures import stack
from diagnose.sandbox.workbench import Built, Workbench, evaluating, logits_of, seed_everything

_DRAWS = 16
_COMPARED = 256
_CONFIDENCES = (1.0, 2.0, 4.0, 8.0, 16.0)


class Chosen(nn.Module):
    """Returns a picture's row of a table: wherever it stands in the batch, as long as it arrives unchanged."""

    def __init__(self, table: Tensor, pictures: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table)
        self.known = _pixels(pictures)

    def forward(self, inputs: Tensor, *_more: Any) -> Tensor:
        """``(n, ...)`` to one row each; what is not among the pictures is taken for the one of its place."""
        found, place = _pixels(inputs), torch.arange(len(inputs))
        if len(found) <= len(self.known):
            same = (found[:, None] == self.known[None]).all(2)
            elsewhere = same.any(1) & ~same[place, place]
            place = torch.where(elsewhere, same.int().argmax(1), place)
        return self.table[place]


def _pixels(pictures: Tensor) -> Tensor:
    """Some values of each picture, by which to know it again, ``(n, m)``."""
    values = pictures.detach().flatten(1)
    return values[:, torch.linspace(0, values.shape[1] - 1, _COMPARED).long()]


def audit_loss(bench: Workbench) -> LossFacts:
    """Measure the loss at right, uniform and wrong answers, and which class its gradient favours."""
    built = bench.build()
    positions = torch.linspace(0, len(bench.pictures.train) - 1, min(32, len(bench.pictures.train))).long().tolist()
    inputs = stack([bench.pictures.train[i] for i in positions], built.eval_transform)
    targets = torch.tensor([bench.pictures.train_labels[i] for i in positions])
    with evaluating(built.model):
        outputs = logits_of(built.model(inputs)).float()
    domain = domain_of(outputs) if outputs.ndim == 2 else "logits"
    probe = _Probe(bench, built, inputs, targets, domain)
    right = [probe.loss(targets, c) for c in _CONFIDENCES]
    # One class against all others also wants the others' scores under 0.
    apart = [probe.loss(targets, c, centred=True) for c in _CONFIDENCES]
    limit = probe.loss(targets, 2 * _CONFIDENCES[-1])
    chosen = probe.favoured()
    return LossFacts(
        through=probe.through,
        right=min(*right, *apart),
        limit=limit,
        slope=limit - right[-1],
        uniform=probe.loss(None, 1.0),
        wrong=probe.loss((targets + 1) % bench.num_classes, 4.0),
        favoured=float((chosen == targets).float().mean()),
        consistent=_consistency(chosen, targets),
        scaling=probe.scaling(),
    )


def _consistency(chosen: Tensor, targets: Tensor) -> float:
    counts = [chosen[targets == label].bincount() for label in targets.unique()]  # type: ignore[no-untyped-call]
    distinct = {int(c.argmax()) for c in counts}
    if len(distinct) < 0.7 * len(counts):
        return 0.0
    return sum(int(c.max()) for c in counts) / len(targets)


class _Probe:
    """Calls their step, or where it cannot be driven their loss function, with chosen outputs."""

    def __init__(self, bench: Workbench, built: Built, inputs: Tensor, targets: Tensor, domain: OutputDomain) -> None:
        self.bench, self.built = bench, built
        self.inputs, self.targets, self.domain = inputs, targets, domain
        self.through: Any = "train_step"
        try:
            self.loss(targets, 1.0)
            self.scaling()
        except (AttributeError, TypeError, ValueError, RuntimeError, KeyError, IndexError):
            # Their step looks inside the model, or keeps one; the loss function alone is the next best.
            self.through = "loss"

    def loss(self, answers: Tensor | None, confidence: float, *, centred: bool = False) -> float:
        """The loss where the outputs say ``answers`` (nothing: all classes alike) with a confidence in logits.

        The other classes' logits are 0, or where ``centred`` as far under 0 as the answer's is above.
        """
        outputs = self._outputs(answers, confidence, centred=centred)
        # Mixup draws how much of a partner to mix in: the least loss is that of the draw with hardly any.
        return min(self._call(outputs, self.inputs, self.targets, draw=draw)[0] for draw in range(_DRAWS))

    def favoured(self) -> Tensor:
        """For each row the class whose output a step would raise most, at uniform outputs, ``(n,)``."""
        outputs = self._outputs(None, 1.0)
        # Mixup draws other partners each time: the true class wins on average.
        calls = [self._call(outputs, self.inputs, self.targets, draw=draw)[1] for draw in range(_DRAWS)]
        return torch.stack(calls).sum(0).argmin(1)

    def scaling(self) -> float:
        """Loss of the whole batch over that of its first half, at uniform outputs."""
        half = len(self.inputs) // 2
        whole = self._outputs(None, 1.0)
        first = self._call(whole[:half], self.inputs[:half], self.targets[:half])[0]
        return self._call(whole[: 2 * half], self.inputs[: 2 * half], self.targets[: 2 * half])[0] / (first or 1.0)

    def _outputs(self, answers: Tensor | None, confidence: float, *, centred: bool = False) -> Tensor:
        logits = torch.zeros(len(self.inputs), self.bench.num_classes)
        if answers is not None:
            logits[torch.arange(len(answers)), answers] = confidence
            logits -= confidence / 2 * centred
        if self.domain == "probabilities":
            return logits.softmax(1)
        if self.domain == "log-probabilities":
            return logits.log_softmax(1)
        if self.domain == "unit-interval":
            return (2 * logits - confidence * float(answers is not None)).sigmoid()
        return logits

    def _call(self, outputs: Tensor, inputs: Tensor, targets: Tensor, *, draw: int = 0) -> tuple[float, Tensor]:
        seed_everything(self.bench.seed + draw)
        model = Chosen(outputs.clone(), inputs)
        gradients: list[Tensor] = []
        model.table.register_hook(lambda g: gradients.append(g.detach().clone()))  # type: ignore[no-untyped-call]
        if self.through == "train_step":
            optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
            loss = self.built.parts.train_step(model, inputs.clone(), targets.clone(), self.built.loss, optimizer)
        else:
            loss = self.built.loss(model(inputs), targets)
            loss.backward()  # type: ignore[no-untyped-call]
        empty = torch.zeros_like(outputs)
        return (float("nan") if loss is None else float(torch.as_tensor(loss).detach())), sum(gradients, empty)
