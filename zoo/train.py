"""The one training loop. Read it from top to bottom.

Everything random depends on the position (seed, epoch, step) alone, so a training that was killed and resumed gives, on
one device and the same versions, the numbers it would have given.

Several processes (``torchrun``, ``accelerate launch``) take the images of each batch in turn and average their
gradients, so the batch, the steps and the learning rate are those of one process. In float32, without mixup, dropout
or moving BatchNorm statistics, which each process has of its own images, the result differs from that of one process
only by the order of additions: on the tests' small models probabilities agree to 1e-3 after 30 steps.
"""

from __future__ import annotations

import copy
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator
from timm.optim import param_groups_layer_decay, param_groups_weight_decay  # type: ignore[attr-defined]
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from zoo.augment import TrainingImages, derive_seed, epoch_batches
from zoo.checkpoints import Checkpoints, EpochRow, Progress
from zoo.errors import DeviceError, OptionError
from zoo.preprocess import Preprocess
from zoo.progress import ProgressCallback

#: Weights kept for the soup at the end.
CANDIDATES = 3
#: Seconds between saves within an epoch.
_SAVE_EVERY = 60.0
_EMA_DECAY = 0.999
#: Images of one forward pass on a CPU. Larger ones cost more in fresh memory pages than they win: EfficientNet-Lite0 in
#: bfloat16 on two cores trained on 24 images/s in parts of 16, 21 in parts of 32 and 11 to 20 in one part of 64.
_CPU_PART = 16


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The resolved hyperparameters of one training. Meanings and ranges: ``zoo.settings.Settings``."""

    epochs: int | None
    time: float | None
    batch_size: int
    learning_rate: float
    weight_decay: float
    layer_decay: float
    warmup: float
    patience: int
    clip: float
    mixup: float
    freeze_norm: bool
    workers: int
    seed: int


#: Validation loss and accuracy of a module.
Validate = Callable[[nn.Module], tuple[float, float]]


def train(  # noqa: C901, PLR0913, PLR0915 - one loop, to be read from top to bottom
    module: nn.Module,
    images: TrainingImages,
    plan: Plan,
    *,
    preprocess: Preprocess,
    class_weights: torch.Tensor,
    validate: Validate,
    accelerator: Accelerator,
    checkpoints: Checkpoints,
    progress: ProgressCallback,
    on_epoch: Callable[[EpochRow], None],
) -> Progress:
    """Train ``module`` in place, from the last checkpoint where there is one.

    Args:
        module: Starts from its present weights.
        images: Training images.
        plan: Hyperparameters.
        preprocess: Normalisation of the images.
        class_weights: Weight of each class, shape ``(classes,)``, of mean 1 over the images.
        validate: Scores a module.
        accelerator: Devices, precision and processes.
        checkpoints: Where the state is saved; the best candidates' weights are there at the end.
        progress: Told after each step.
        on_epoch: Told after each epoch.

    Returns:
        The history, and the epochs whose weights were kept, best first.

    Raises:
        KeyboardInterrupt: After Ctrl-C; the state is saved.
        DeviceError: Not even one image fits into the device's memory.
        OptionError: There are more processes than images in a batch.
    """
    device = accelerator.device
    module.to(device).to(memory_format=torch.channels_last)
    average = copy.deepcopy(module).eval().requires_grad_(requires_grad=False)
    optimizer = torch.optim.AdamW(_parameter_groups(module, plan), lr=plan.learning_rate)
    steps = _steps_per_epoch(len(images), plan)
    state = Progress()
    if checkpoints.exists():
        state, tensors = checkpoints.load()
        module.load_state_dict(tensors["module"])
        average.load_state_dict(tensors["average"])
        optimizer.load_state_dict(tensors["optimizer"])
    model, optimizer = accelerator.prepare(module, optimizer)
    step = _Step(
        model, optimizer, plan, preprocess=preprocess, class_weights=class_weights.to(device), accelerator=accelerator,
        batch_size=min(plan.batch_size, len(images)),
    )  # fmt: skip
    total = steps * plan.epochs if plan.epochs else None
    started = time.monotonic() - state.seconds

    def save() -> None:
        if accelerator.is_main_process:
            raw = accelerator.unwrap_model(model)
            checkpoints.save(
                state,
                {"module": raw.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()},
            )
        accelerator.wait_for_everyone()

    def ended() -> bool:
        late = plan.time is not None and state.seconds >= plan.time
        return state.stopped or late or (plan.epochs is not None and state.epoch >= plan.epochs)

    loader = iter(_loader(images, plan, accelerator, epoch=state.epoch, batch=state.batch))
    saved = state.seconds
    with _graceful() as interrupted:
        while not ended():
            model.train()
            if plan.freeze_norm:
                _freeze_norm(model)
            while state.batch < steps and not ended():
                fraction = _fraction(state.step, total, state.seconds, plan.time)
                for group in optimizer.param_groups:
                    group["lr"] = plan.learning_rate * schedule(fraction, plan.warmup) * group.get("lr_scale", 1.0)
                loss = step(*next(loader), position=state.step)
                loss, state.seconds, stop = _together(accelerator, loss, time.monotonic() - started, interrupted())
                state.loss_sum += loss
                state.batch, state.step = state.batch + 1, state.step + 1
                update_average(average, accelerator.unwrap_model(model), state.step)
                progress("train", state.step, total or round(state.step / max(fraction, 1e-3)))
                if stop:
                    save()
                    raise KeyboardInterrupt
                if state.seconds - saved > _SAVE_EVERY:
                    save()
                    saved = state.seconds
            val_loss, val_accuracy = validate(average)
            _, state.seconds, stop = _together(accelerator, 0.0, time.monotonic() - started, interrupted())
            row = EpochRow(
                epoch=state.epoch, step=state.step, learning_rate=optimizer.param_groups[-1]["lr"],
                train_loss=state.loss_sum / max(1, state.batch), val_loss=val_loss,
                val_accuracy=val_accuracy, seconds=state.seconds,
            )  # fmt: skip
            state.history.append(row)
            _keep_best(state, average, checkpoints, accelerator)
            state.stopped = _stalled(state.history, plan.patience)
            state.epoch, state.batch, state.loss_sum = state.epoch + 1, 0, 0.0
            save()
            saved = state.seconds
            on_epoch(row)
            if stop:
                raise KeyboardInterrupt
    return state


def _together(accelerator: Accelerator, loss: float, seconds: float, stop: bool) -> tuple[float, float, bool]:  # noqa: FBT001
    """The mean loss of all processes, the main one's clock, and whether any of them is to stop.

    One that left the loop alone, or took another learning rate because its clock differs, would spoil all.
    """
    if accelerator.num_processes == 1:
        return loss, seconds, stop
    mine = torch.tensor([[loss, seconds, float(stop)]], dtype=torch.float64, device=accelerator.device)
    rows = accelerator.gather(mine)
    return rows[:, 0].mean().item(), rows[0, 1].item(), bool(rows[:, 2].any())


class _Step:
    """One optimizer step on one batch, in parts that fit into memory."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        plan: Plan,
        *,
        preprocess: Preprocess,
        class_weights: torch.Tensor,
        accelerator: Accelerator,
        batch_size: int,
    ) -> None:
        if batch_size < accelerator.num_processes:
            raise OptionError(
                f"A batch of {batch_size} images is too small for {accelerator.num_processes} processes.",
                remedy="Start fewer processes, or choose a larger batch: --set batch_size=N",
            )
        self._model, self._optimizer, self._plan = model, optimizer, plan
        self._preprocess, self._weights, self._accelerator = preprocess, class_weights, accelerator
        self._part = images_at_once(accelerator.device, plan.batch_size)
        # Losses are divided by it: their mean over the processes, whose shares may differ by one, is then the batch's.
        self._share = batch_size / accelerator.num_processes
        self._mixup = v2.MixUp(alpha=plan.mixup, num_classes=len(class_weights)) if plan.mixup else None

    def __call__(self, pixels: torch.Tensor, targets: torch.Tensor, *, position: int) -> float:
        """Step, and return this process's part of the loss; the mean of these is the batch's loss."""
        while True:
            try:
                return self._attempt(pixels, targets, position)
            except torch.OutOfMemoryError as error:
                if self._part == 1:
                    raise DeviceError(
                        "Not even one image fits into the device's memory.", remedy="Use a smaller model."
                    ) from error
                self._part = max(1, min(self._part, len(pixels)) // 2)
                self._optimizer.zero_grad()
                torch.cuda.empty_cache()

    def _attempt(self, pixels: torch.Tensor, targets: torch.Tensor, position: int) -> float:
        device = self._accelerator.device
        torch.manual_seed(derive_seed(self._plan.seed, "step", position, self._accelerator.process_index))
        total = 0.0
        starts = range(0, len(pixels), self._part)
        for start in starts:
            part = slice(start, start + self._part)
            inputs = self._preprocess.normalise(pixels[part].to(device, non_blocking=True))
            labels = targets[part].to(device, non_blocking=True)
            weights = self._weights[labels]
            if self._mixup is not None:
                inputs, labels = self._mixup(inputs, labels)
            last = start == starts[-1]
            with self._accelerator.accumulate(self._model) if last else self._accelerator.no_sync(self._model):
                losses = functional.cross_entropy(self._model(inputs).float(), labels, reduction="none")
                loss = (losses * weights).sum() / self._share
                self._accelerator.backward(loss)
            total += loss.item()
        self._accelerator.clip_grad_norm_(self._model.parameters(), self._plan.clip)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return total


def images_at_once(device: torch.device, batch_size: int) -> int:
    """Images of one forward pass; a batch is taken in such parts."""
    return min(batch_size, _CPU_PART) if device.type == "cpu" else batch_size


def schedule(fraction: float, warmup: float) -> float:
    """Factor on the learning rate after ``fraction`` of the training: linear warm-up, then cosine to 0."""
    if fraction < warmup:
        return max(fraction, 1e-3) / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (fraction - warmup) / (1 - warmup))))


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, step: int) -> None:
    """Move ``average`` towards ``model``; the decay grows with the steps, min(0.999, (1 + t) / (10 + t))."""
    decay = min(_EMA_DECAY, (1 + step) / (10 + step))
    for mean, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value.to(mean.dtype), 1 - decay)
        else:
            mean.copy_(value)


def _parameter_groups(module: nn.Module, plan: Plan) -> list[dict[str, Any]]:
    """Norms and biases without weight decay; with layer decay, each layer's ``lr_scale``."""
    if plan.layer_decay == 1:
        groups: list[dict[str, Any]] = param_groups_weight_decay(module, plan.weight_decay)
    else:
        groups = param_groups_layer_decay(module, plan.weight_decay, layer_decay=plan.layer_decay)
    return groups


def _fraction(step: int, total: int | None, seconds: float, limit: float | None) -> float:
    by_steps = step / total if total else 0.0
    return min(1.0, max(by_steps, seconds / limit if limit else 0.0))


def _steps_per_epoch(count: int, plan: Plan) -> int:
    return len(epoch_batches(count, plan.batch_size, epoch=0, seed=plan.seed))


def _loader(
    images: TrainingImages, plan: Plan, accelerator: Accelerator, *, epoch: int, batch: int
) -> DataLoader[tuple[torch.Tensor, int]]:
    """This process's share of every batch from a position on, without end."""

    def batches() -> Iterator[list[tuple[int, int]]]:
        number, skip = epoch, batch
        while True:
            for keys in epoch_batches(len(images), plan.batch_size, epoch=number, seed=plan.seed)[skip:]:
                yield keys[accelerator.process_index :: accelerator.num_processes]
            number, skip = number + 1, 0

    if plan.workers:
        images.images.fill()
    return DataLoader(
        images,
        batch_sampler=batches(),
        num_workers=plan.workers,
        pin_memory=accelerator.device.type == "cuda",
        persistent_workers=plan.workers > 0,
    )


def _freeze_norm(model: nn.Module) -> None:
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            layer.eval()


def _keep_best(state: Progress, average: nn.Module, checkpoints: Checkpoints, accelerator: Accelerator) -> None:
    """Keep the weights after this epoch if they are among the best."""
    rows = {row.epoch: row for row in state.history}
    best = sorted(rows, key=lambda epoch: (-rows[epoch].val_accuracy, rows[epoch].val_loss, epoch))
    kept = [epoch for epoch in best if epoch in {*state.candidates, state.epoch}][:CANDIDATES]
    if state.epoch in kept and accelerator.is_main_process:
        checkpoints.keep(state.epoch, average.state_dict())
    state.candidates = kept


def _stalled(history: list[EpochRow], patience: int) -> bool:
    """Whether neither accuracy nor loss has improved for ``patience`` epochs."""
    if len(history) <= patience:
        return False
    before, recent = history[:-patience], history[-patience:]
    better = max(r.val_accuracy for r in recent) > max(r.val_accuracy for r in before)
    return not (better or min(r.val_loss for r in recent) < min(r.val_loss for r in before))


@contextmanager
def _graceful() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a question that is asked between steps; a second Ctrl-C stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(_number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
