"""finetune: all weights, starting from the probe's head (LP-FT, Kumar et al. 2022, arXiv:2202.10054).

At the end the best epochs are averaged (soup, Wortsman et al. 2022, arXiv:2203.05482), interpolated with the probe
(WiSE-FT, arXiv:2109.01903), and whatever scores best on validation is shipped, the plain probe included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.augment import KeptImages, TrainingImages, augmentation
from zoo.checkpoints import Checkpoints, EpochRow
from zoo.classifier import embed, set_head
from zoo.data.dataset import Split
from zoo.data.files import read_file
from zoo.devices import accelerator as make_accelerator
from zoo.devices import agreed, best_precision, torch_device
from zoo.errors import DataError
from zoo.files import write_tensors
from zoo.job import RECIPES, Fitted, Job, Row, write_rows
from zoo.predict import pixels_of, probabilities
from zoo.probe import Head
from zoo.recipes.probe import fit_probe
from zoo.settings import Settings
from zoo.train import Plan, images_at_once, train
from zoo.weights import load

StateDict = Mapping[str, torch.Tensor]

_EPOCHS, _FEWEST_STEPS, _MOST_STEPS = 20, 500, 10_000
_BATCH = 64
_MIXUP_FROM = 20_000
_SMALL = 2_000
_SHARES = (0.25, 0.5, 0.75)
#: Images on which mirroring is tried, and how much accuracy it may cost before it is left out.
_FLIP_IMAGES, _FLIP_LOSS = 400, 0.02


@RECIPES.register("finetune")
def fit(job: Job) -> Fitted:
    """Fine-tune all weights; ship what is best on validation."""
    if not len(job.dataset.indices("val")):
        raise DataError(
            "There are no validation images, so the best epoch cannot be told.",
            remedy="Add images, name a validation split, or use the probe: zoo finetune MODEL DATA --set recipe=probe",
        )
    head = agreed(fit_probe(job).head)
    module = load(job.card, offline=job.offline)
    set_head(module, torch.from_numpy(head.weight), torch.from_numpy(head.bias))
    probe_weights = {name: value.clone() for name, value in module.state_dict().items()}
    if _from_scratch(job):  # a head fitted on random features is no place to start from
        torch.manual_seed(job.settings.seed)
        fresh = nn.Linear(head.weight.shape[1], head.weight.shape[0])
        set_head(module, fresh.weight.detach(), fresh.bias.detach())
    job = job.settle(agreed(resolve(job, module, head)))
    device = make_accelerator(job.device, job.settings.precision or "no")
    pictures = _Validation(job, device)
    job.say(_announcement(job))

    def on_epoch(row: EpochRow) -> None:
        job.say(
            f"epoch {row.epoch + 1}: train loss {row.train_loss:.4f}, validation loss {row.val_loss:.4f},"
            f" accuracy {row.val_accuracy:.1%}"
        )
        if device.is_main_process:
            write_rows(job.run.path, _epoch_rows([*history, row]))
        history.append(row)

    checkpoints = Checkpoints(job.run.path / "state")
    history = checkpoints.load()[0].history if checkpoints.exists() else []
    done = train(
        module,
        _training_images(job),
        _plan(job.settings),
        preprocess=job.card.preprocess,
        class_weights=torch.from_numpy(job.class_weights()),
        validate=pictures.score,
        accelerator=device,
        checkpoints=checkpoints,
        progress=job.progress,
        on_epoch=on_epoch,
    )
    if device.is_main_process:
        write_tensors(job.run.path / "weights" / "last.safetensors", module.state_dict())
    epochs = [checkpoints.candidate(epoch) for epoch in done.candidates]
    best, rows = _choose(module, probe_weights, epochs, pictures)
    rows = [*rows[:1], *_epoch_rows(done.history), *rows[1:]]
    module.load_state_dict(best)
    return Fitted(
        weights={name: value.cpu() for name, value in best.items()},
        predictions={
            split: job.predictions(split, pictures.probabilities(module, split))
            for split in ("val", "test")
            if len(job.dataset.indices(split))
        },
        rows=tuple(rows),
        notes=(_worth(rows),),
    )


def resolve(job: Job, module: nn.Module, head: Head) -> Settings:
    """Choose what the person left open. An explicit value always wins."""
    asked, count = job.settings, len(job.dataset.indices("train"))
    batch = min(asked.batch_size or _BATCH, count)
    steps = max(1, count // batch)
    has_batch_norm = any(isinstance(m, _BatchNorm) for m in module.modules())
    scratch = _from_scratch(job)
    length = math.ceil(min(max(_EPOCHS * steps, _FEWEST_STEPS), _MOST_STEPS) / steps)
    chosen: dict[str, Any] = {
        "recipe": "finetune",
        "epochs": None if asked.time else length,
        "batch_size": batch,
        "learning_rate": 2e-3 if scratch else 3e-4 if has_batch_norm else 1e-4,
        "weight_decay": 1e-4 if has_batch_norm or scratch else 0.05,
        "layer_decay": 1.0 if scratch else 0.9 if has_batch_norm else 0.75,
        "augmentation": "light" if count < 1000 else "standard",
        "mixup": 0.2 if count >= _MIXUP_FROM else 0.0,
        "freeze_norm": has_batch_norm
        and not scratch
        and (count < _SMALL or images_at_once(torch_device(job.device), batch) < 32),
        "precision": best_precision(torch_device(job.device)),
        "workers": 4 if torch_device(job.device).type == "cuda" else 0,
    }
    open_ = {name: value for name, value in chosen.items() if getattr(asked, name) is None}
    settings = replace(asked, **open_)
    return settings if settings.flip is not None else replace(settings, flip=_flips_are_harmless(job, module, head))


def _from_scratch(job: Job) -> bool:
    """Whether the model has no pretrained weights."""
    return job.card.source == "zoo"


def _flips_are_harmless(job: Job, module: nn.Module, head: Head) -> bool:
    """Whether the probe, fitted on upright pictures, is as good on mirrored ones.

    Mirroring changes the class of digits, letters and signs, and then misleads; on most photographs it costs nothing.
    """
    indices = job.dataset.indices("val")[:: max(1, len(job.dataset.indices("val")) // _FLIP_IMAGES)]
    labels = job.dataset.labels[indices]
    upright = head.probabilities(job.features[indices]).argmax(axis=1) == labels
    mirrored = []
    with torch.inference_mode():
        for index in indices:
            pixels = pixels_of(read_file(job.dataset.file(job.dataset.samples[index])), job.card.preprocess)
            inputs = job.card.preprocess.normalise(torch.from_numpy(pixels[:, ::-1].copy())[None])
            mirrored.append(embed(module, inputs)[0])
    right = head.probabilities(torch.stack(mirrored).numpy()).argmax(axis=1) == labels
    return bool(upright.mean() - right.mean() <= _FLIP_LOSS)


class _Validation:
    """The images that decide, decoded once; each process scores its share."""

    def __init__(self, job: Job, device: Accelerator) -> None:
        self._job, self._device = job, device
        preprocess = job.card.preprocess
        self._images = KeptImages(
            [job.dataset.file(s) for s in job.dataset.samples], lambda d: pixels_of(d, preprocess)
        )

    def probabilities(self, module: nn.Module, split: Split) -> np.ndarray:
        """Shape ``(n, classes)``, on every process."""
        indices = self._job.dataset.indices(split)
        mine = np.arange(self._device.process_index, len(indices), self._device.num_processes)
        precision = self._job.settings.precision or "no"
        rows = probabilities(
            module.eval(), self._images.__getitem__, indices[mine].tolist(), self._job.card.preprocess,
            device=self._device.device, precision=precision,
        )  # fmt: skip
        whole = np.zeros((len(indices), len(self._job.dataset.classes)), dtype=np.float32)
        for positions, part in gather_object([(mine, rows)]):
            whole[positions] = part if len(positions) else whole[positions]
        return whole

    def score(self, module: nn.Module) -> tuple[float, float]:
        """Validation loss in nats, and accuracy: the mean over classes where class weights were asked for."""
        figures = self._job.predictions("val", self.probabilities(module, "val")).scores()
        return figures.log_loss, figures.balanced_accuracy if self._job.settings.class_weights else figures.accuracy


def _training_images(job: Job) -> TrainingImages:
    chosen = job.dataset.select(job.dataset.indices("train"))
    kind, preprocess = job.settings.augmentation or "standard", job.card.preprocess
    return TrainingImages(
        [chosen.file(s) for s in chosen.samples],
        chosen.labels.tolist(),
        preprocess=preprocess,
        transform=augmentation(kind, preprocess, flip=bool(job.settings.flip)),
        seed=job.settings.seed,
    )


def _choose(
    module: nn.Module, probe_weights: StateDict, epochs: list[dict[str, torch.Tensor]], pictures: _Validation
) -> tuple[StateDict, list[Row]]:
    """The weights that score best on validation, and one row for the probe, the soup and each interpolation.

    Chosen on the images that early stopping saw too, so the winner's validation accuracy is a little too high. Where
    two are equal the one nearer to the pretrained weights wins.
    """

    def score(weights: StateDict) -> tuple[float, float]:
        module.load_state_dict(weights)
        loss, accuracy = pictures.score(module)
        return accuracy, -loss

    soup = _greedy_soup(epochs, score)
    tried: list[tuple[str, StateDict]] = [("probe", probe_weights)]
    tried += [(f"interpolation {share:.2f}", _mix(probe_weights, soup, share)) for share in _SHARES]
    tried.append(("soup", soup))
    scored = [(score(weights), name, weights) for name, weights in tried]
    winner = max(range(len(scored)), key=lambda i: (scored[i][0], -i))
    rows = [
        Row(name=name, val_loss=-minus_loss, val_accuracy=accuracy, shipped=i == winner)
        for i, ((accuracy, minus_loss), name, _) in enumerate(scored)
    ]
    return scored[winner][2], rows


def _greedy_soup(epochs: list[dict[str, torch.Tensor]], score: Callable[[StateDict], tuple[float, float]]) -> StateDict:
    """Average the best epochs, each only if the average gets no worse by it."""
    soup, size = dict(epochs[0]), 1
    best = score(soup)
    for weights in epochs[1:]:
        mixed = _mix(soup, weights, 1 / (size + 1))
        if (figure := score(mixed)) >= best:
            soup, size, best = mixed, size + 1, figure
    return soup


def _mix(first: StateDict, second: StateDict, share: float) -> dict[str, torch.Tensor]:
    """``first`` moved towards ``second`` by ``share``; counters are the second's."""
    return {
        name: torch.lerp(value, second[name].to(value), share) if value.is_floating_point() else second[name]
        for name, value in first.items()
    }


def _plan(settings: Settings) -> Plan:
    names = {field.name for field in fields(Plan)}
    return Plan(**{name: value for name, value in settings.chosen().items() if name in names})


def _epoch_rows(history: list[EpochRow]) -> list[Row]:
    return [
        Row(
            name="epoch", epoch=r.epoch + 1, step=r.step, learning_rate=r.learning_rate, train_loss=r.train_loss,
            val_loss=r.val_loss, val_accuracy=r.val_accuracy, seconds=r.seconds,
        )
        for r in history
    ]  # fmt: skip


def _announcement(job: Job) -> str:
    s = job.settings
    length = f"{s.time:.0f} s" if s.time else f"{s.epochs} epochs"
    return (
        f"fine-tuning all weights for {length}: batch {s.batch_size}, learning rate {s.learning_rate:g},"
        f" augmentation {s.augmentation}, mirroring {'on' if s.flip else 'off'}, precision {s.precision}"
    )


def _worth(rows: list[Row]) -> str:
    """Whether fine-tuning was worth it, with both numbers."""
    frozen = next(row for row in rows if row.name == "probe")
    tuned = max((row for row in rows if row.name != "probe"), key=lambda row: row.val_accuracy)
    shipped = next(row for row in rows if row.shipped)
    return (
        f"On validation the frozen probe reaches {frozen.val_accuracy:.1%}, the best fine-tuned weights"
        f" {tuned.val_accuracy:.1%}. Shipped: {shipped.name}."
    )
