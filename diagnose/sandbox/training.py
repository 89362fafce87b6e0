"""The training loop of every experiment, and what is measured of the model that it leaves."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from diagnose.batchnorm import restate
from diagnose.sandbox.measurements import EpochFacts, RunFacts, Variant
from diagnose.sandbox.parts import batch_count, batches, reference_loss
from diagnose.sandbox.pictures import Transformed
from diagnose.sandbox.watching import ForwardModes, StepNorms, without_autocast
from diagnose.sandbox.workbench import Built, Workbench, evaluating, logits_of, seed_everything

_TRAIN_SAMPLE = 256
_CURVE_SAMPLE = 96


def train(bench: Workbench) -> RunFacts:
    """Train one variant from start to end (or until time is up) and measure the model."""
    started = time.monotonic()
    built = bench.build()
    train_data = Transformed(bench.pictures.train, bench.pictures.train_labels, built.train_transform)
    eval_data = Transformed(bench.pictures.validation, bench.pictures.validation_labels, built.eval_transform)
    loop = _Loop(bench, built, train_data, eval_data)
    loop.run()
    measured = _measure(bench, built, eval_data, loop.outputs)
    return RunFacts(
        variant=bench.variant,
        data=bench.data,
        seed=bench.seed,
        images=len(train_data),
        validation=len(eval_data),
        finished=loop.finished,
        curve=tuple(loop.curve),
        labels=tuple(bench.pictures.validation_labels),
        training_mode=loop.modes.share("step"),
        evaluation_mode=loop.modes.share("evaluate"),
        clipped=loop.norms.clipped,
        score=loop.curve[-1].score if loop.curve else None,
        seconds=time.monotonic() - started,
        step_seconds=float(np.median(loop.step_seconds)) if loop.step_seconds else 0.0,
        **measured,
    )


class _Loop:
    """Epochs of steps, as a script has them: step, schedule, evaluate."""

    def __init__(self, bench: Workbench, built: Built, train_data: Transformed, eval_data: Transformed) -> None:
        self.bench, self.built = bench, built
        self.train_data, self.eval_data = train_data, eval_data
        self.epochs = max(1, round(built.parts.epochs * bench.variant.epochs))
        self.curve: list[EpochFacts] = []
        self.step_seconds: list[float] = []
        self.finished = False
        self.outputs = torch.empty(0)
        self.modes = ForwardModes(built.model)
        self.norms = StepNorms(built.optimizer, keep_clipping=bench.variant.clip)

    def run(self) -> None:
        parts, built = self.built.parts, self.built
        seed_everything(self.bench.seed + 1)
        loader = batches(self.train_data, parts, train=True)
        sample = self.bench.pictures.subset(0, _CURVE_SAMPLE, self.bench.seed)
        few = Transformed(sample.validation, sample.validation_labels, built.eval_transform)
        steps = batch_count(loader, len(self.train_data), parts.batch_size)
        schedule: Any = None
        if parts.build_scheduler is not None:
            schedule = parts.build_scheduler(built.optimizer, steps * self.epochs)
        by_plateau = isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau)
        by_step = parts.scheduler_unit == "step" and not by_plateau
        with self.modes, self.norms:
            for epoch in range(1, self.epochs + 1):
                loss = self._epoch(loader, schedule if by_step else None)
                # Only the last epoch's figures are compared; the others draw the curve, and a few pictures do for that.
                last = epoch == self.epochs or self.bench.late
                self._close_epoch(loss, self.eval_data if last else few)
                if by_plateau:
                    schedule.step(self.curve[-1].validation_loss)
                elif schedule is not None and not by_step:
                    schedule.step()
                if last:
                    break
            self.finished = len(self.curve) == self.epochs

    def _epoch(self, loader: Iterable[Any], schedule: Any) -> float:
        built, losses = self.built, []
        self.modes.phase = "step" if self.curve else "first"
        for inputs, targets in loader:
            begun = time.monotonic()
            with without_autocast(active=self.bench.variant.precise):
                loss = built.parts.train_step(built.model, inputs, targets, built.loss, built.optimizer)
            self.step_seconds.append(time.monotonic() - begun)
            losses.append(float("nan") if loss is None else float(torch.as_tensor(loss).detach()))
            if schedule is not None:
                schedule.step()
            if self.bench.late:
                break
        return float(np.mean(losses)) if losses else float("nan")

    def _close_epoch(self, loss: float, data: Transformed) -> None:
        score = None
        if self.built.parts.evaluate is not None:
            self.modes.phase = "evaluate"
            score = float(self.built.parts.evaluate(self.built.model, batches(data, self.built.parts, train=False)))
        self.modes.phase = "ours"
        self.outputs = predict(self.built.model, data)
        targets = torch.tensor(data.labels)
        accuracy = float((self.outputs.argmax(1) == targets).float().mean())
        validation_loss = _cross_entropy(self.outputs, targets)
        self.curve.append(EpochFacts(loss=loss, validation_loss=validation_loss, accuracy=accuracy, score=score))


def predict(model: nn.Module, data: Transformed, *, training: bool = False, flip: bool = False) -> Tensor:
    """Outputs ``(n, classes)`` for every picture of ``data``; the model is left in the mode it came in."""
    outputs = []
    with evaluating(model, training=training):
        for start in range(0, len(data), 64):
            batch = torch.stack([data[i][0] for i in range(start, min(start + 64, len(data)))])
            if training and len(batch) == 1:
                continue  # batch-norm refuses to train on one picture
            outputs.append(logits_of(model(batch.flip(1) if flip else batch)).float().cpu())
    return torch.cat(outputs)


def _cross_entropy(outputs: Tensor, targets: Tensor) -> float:
    usable = targets < outputs.shape[1]
    return float(reference_loss(outputs[usable], targets[usable]))


def _measure(bench: Workbench, built: Built, eval_data: Transformed, outputs: Tensor) -> dict[str, Any]:
    """Everything that is asked of the final model and its outputs for ``eval_data``; keys are fields of ``RunFacts``."""
    labels = np.asarray(bench.pictures.validation_labels)
    guesses = outputs.argmax(1).numpy()
    sample = bench.pictures.subset(_TRAIN_SAMPLE, 0, bench.seed)
    train_data = Transformed(sample.train, sample.train_labels, built.eval_transform)
    train_guesses = predict(built.model, train_data).argmax(1).numpy()
    # What only the algorithm as it stands is asked for; a swap is asked for its accuracy.
    whole = bench.variant == Variant() and not bench.late
    return {
        "predictions": tuple(int(g) for g in guesses),
        "train_accuracy": float((train_guesses == np.asarray(sample.train_labels)).mean()),
        "relabelled": best_permutation(labels, guesses, bench.num_classes),
        "flipped": _guesses(predict(built.model, eval_data, flip=True)) if whole else None,
        "restated": _restated(built, train_data, eval_data) if whole else None,
    }


def best_permutation(labels: Any, guesses: Any, num_classes: int) -> float:
    """Accuracy once the guesses' class numbers are exchanged as suits them best (Kuhn 1955)."""
    size = int(max(num_classes, guesses.max() + 1))
    counts = np.zeros((size, size), dtype=np.int64)
    np.add.at(counts, (guesses, labels), 1)
    return float(counts[linear_sum_assignment(counts, maximize=True)].sum() / len(labels))


def _guesses(outputs: Tensor) -> tuple[int, ...]:
    return tuple(outputs.argmax(1).tolist())


def _restated(built: Built, train_data: Transformed, eval_data: Transformed) -> tuple[int, ...] | None:
    """Predictions after every batch-norm layer averaged its statistics over training pictures anew."""
    if not restate(built.model, lambda: predict(built.model, train_data, training=True)):
        return None
    return _guesses(predict(built.model, eval_data))
