"""What feeds the model: the two transforms, the loader, the learning-rate schedule."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from diagnose.sandbox.measurements import LoaderFacts, ScheduleFacts, TransformFacts
from diagnose.sandbox.parts import Transform, batch_count, batches
from diagnose.sandbox.pictures import BLACK, WHITE, Transformed, answer_to, channel_order, is_random, stack
from diagnose.sandbox.workbench import Workbench, seed_everything

_POINTS = 200


def audit_transforms(bench: Workbench) -> TransformFacts:
    """Both transforms on the same pictures."""
    built = bench.build()
    positions = np.linspace(0, len(bench.pictures.train) - 1, min(32, len(bench.pictures.train))).astype(int)
    images = [bench.pictures.train[i] for i in positions]
    train, evaluation = stack(images, built.train_transform).float(), stack(images, built.eval_transform).float()
    size = images[0].size
    return TransformFacts(
        train_mean=_per_channel(train.mean((0, 2, 3))),
        train_std=_per_channel(train.std((0, 2, 3))),
        eval_mean=_per_channel(evaluation.mean((0, 2, 3))),
        eval_std=_per_channel(evaluation.std((0, 2, 3))),
        train_black=_per_channel(answer_to(BLACK, built.train_transform, size)),
        train_white=_per_channel(answer_to(WHITE, built.train_transform, size)),
        eval_black=_per_channel(answer_to(BLACK, built.eval_transform, size)),
        eval_white=_per_channel(answer_to(WHITE, built.eval_transform, size)),
        train_channels=channel_order(built.train_transform, size),
        eval_channels=channel_order(built.eval_transform, size),
        random_train=is_random(built.train_transform, images),
        random_eval=is_random(built.eval_transform, images),
        repeated=_repeated(images, built.train_transform),
        similarity=_similarity(train, evaluation),
        train_shape=tuple(train.shape[1:]),
        eval_shape=tuple(evaluation.shape[1:]),
    )


def _per_channel(values: Tensor) -> tuple[float, ...]:
    return tuple(float(v) for v in values)


def _similarity(train: Tensor, evaluation: Tensor) -> float:
    """Median over pictures of the correlation of the two outputs at 8 x 8."""
    small = [nn.functional.adaptive_avg_pool2d(t, 8).flatten(1) for t in (train, evaluation)]
    centred = [s - s.mean(1, keepdim=True) for s in small]
    return float(nn.functional.cosine_similarity(centred[0], centred[1]).median())


class _OnePicture(Dataset[Tensor]):
    """One picture many times, through a transform."""

    def __init__(self, image: Any, transform: Transform, count: int) -> None:
        self.image, self.transform, self.count = image, transform, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, _index: int) -> Tensor:
        return torch.as_tensor(self.transform(self.image.copy()))


def _repeated(images: Sequence[Any], transform: Transform) -> bool:
    """Whether two loader workers draw the same augmentations one after another."""
    if not is_random(transform, images):
        return False
    seed_everything(0)
    data = _OnePicture(images[len(images) // 2], transform, 16)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # fork in a process with threads: the worker has none of its own
        first, second, third, fourth = list(
            DataLoader(data, batch_size=4, num_workers=2, multiprocessing_context="fork")
        )
    return torch.equal(first, second) and torch.equal(third, fourth) and not torch.equal(first, third)


class _Coded(Dataset[tuple[Tensor, int]]):
    """Item i is a picture filled with the number i, under item i's label."""

    def __init__(self, labels: Sequence[int], shape: tuple[int, ...]) -> None:
        self.labels, self.shape = labels, shape

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.full(self.shape, float(index)), self.labels[index]


def audit_loader(bench: Workbench) -> LoaderFacts:
    """Two epochs of their training loader over coded items."""
    built = bench.build()
    labels = bench.pictures.train_labels
    loader = batches(_Coded(labels, (3, 8, 8)), built.parts, train=True)
    first, second = _epoch(loader), _epoch(loader)
    codes = np.concatenate([c for c, _ in first])
    given = np.concatenate([t for _, t in first])
    known = np.isclose(codes, np.round(codes), atol=1e-3) & (codes >= 0) & (codes < len(labels))
    own = np.asarray(labels)[np.round(codes[known]).astype(int)]
    again = np.concatenate([c for c, _ in second])
    return LoaderFacts(
        misaligned=float((own != given[known]).mean()) if known.any() else 0.0,
        shuffled=not np.array_equal(codes, again) or not bool((np.diff(codes) > 0).all()),
        seen=len(np.unique(np.round(codes[known]))) / len(labels),
        purity=_purity([t for _, t in first], bench.seed),
    )


def _epoch(loader: Iterable[Any]) -> list[tuple[Any, Any]]:
    return [
        (torch.as_tensor(inputs).float().flatten(1).mean(1).numpy(), torch.as_tensor(targets).numpy())
        for inputs, targets in loader
    ]


def _purity(labels: Sequence[Any], seed: int) -> float:
    """Commonest class's share of a batch, over that of the same labels in random order."""
    everything = np.random.default_rng(seed).permutation(np.concatenate(labels))
    shuffled = np.split(everything, np.cumsum([len(batch) for batch in labels])[:-1])
    measured, chance = (np.mean([np.bincount(b).max() / len(b) for b in batch]) for batch in (labels, shuffled))
    return float(measured / chance)


def audit_schedule(bench: Workbench) -> ScheduleFacts:
    """The learning rate of the first group over the whole training, stepped as the training loop steps it."""
    built = bench.build()
    parts = built.parts
    data = Transformed(bench.pictures.train, bench.pictures.train_labels, built.eval_transform)
    loader = batches(data, parts, train=True)
    per_epoch = batch_count(loader, len(data), parts.batch_size)
    steps = per_epoch * parts.epochs
    rates = []
    schedule = parts.build_scheduler(built.optimizer, steps) if parts.build_scheduler else None
    if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
        schedule = None  # needs a score, and only ever falls when the score stalls
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the optimizer is not stepped here, on purpose
        for step in range(steps):
            rates.append(float(max(g["lr"] for g in built.optimizer.param_groups)))
            ends = (step + 1) % per_epoch == 0
            if schedule is not None and (parts.scheduler_unit == "step" or ends):
                schedule.step()
    positions = np.unique(np.linspace(0, steps - 1, min(_POINTS, steps)).astype(int))
    return ScheduleFacts(rates=tuple(rates[i] for i in positions), steps=steps)
