"""A stronger reference than a probe: the best backbone, all its weights trained on the person's data.

A frozen model that fails proves nothing against the data, since it may be too weak for it. It is fine-tuned where the
probe misses the target, or where the person's own model clearly beats it, and only where there is time: the caller says
how much. It learns from the training images alone (its validation images are taken from those) and is judged on images
that it has not seen.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from diagnose.comparison import accuracy, paired_difference
from diagnose.context import Context
from diagnose.findings import Control, Estimate
from zoo.data import Dataset
from zoo.finetuning import finetune
from zoo.neighbours import IntArray

SENSIBLE = 180.0  # seconds of a budget from which fine-tuning is worth its time
UNBOUNDED = 600.0  # seconds of training where no budget was named
_SHARE = 2 / 3  # of the budget left; the rest pays for preparation, and for what else was handed over


@dataclass(frozen=True, kw_only=True)
class Stronger:
    """A reference that was trained beyond a probe.

    Attributes:
        control: Its accuracy on the images that it was judged on.
        predicted: The class that it gives each of them, ``(n,)``; -1 for all other images.
    """

    control: Control
    predicted: IntArray


#: Trains a stronger reference within some seconds; ``None`` where it cannot.
Escalate = Callable[[Context, float], Stronger | None]


def wanted(target: float | None, probe: Estimate, yours: Estimate | None, gap: Estimate | None) -> bool:
    """Whether the probe is too weak to judge by: it may miss the target that theirs does not reach, or theirs beats it."""
    missed = target is not None and probe.interval[0] < target and (yours is None or yours.interval[0] < target)
    beaten = gap is not None and gap.interval[1] < 0
    return missed or beaten


def seconds_for(left: float) -> float:
    """Seconds of training, of the seconds that are left of the budget."""
    return UNBOUNDED if left == float("inf") else _SHARE * left


def better(context: Context, stronger: Stronger) -> bool:
    """Whether it is better than the probe on the same images beyond doubt, so that choosing it flatters nobody."""
    rows = np.flatnonzero(stronger.predicted >= 0)
    after = stronger.predicted[rows] == context.labels[rows]
    return paired_difference(after, context.correct(context.best)[rows]).interval[0] > 0


def fine_tuned(
    context: Context, seconds: float, *, model: str | None = None, device: str = "auto", offline: bool = False
) -> Stronger:
    """Fine-tune a model on the training images, and judge it on the held-out ones.

    Where the data came without splits, one fold is held out.

    Args:
        context: The data.
        seconds: Of training.
        model: A name of the catalog; the best backbone unless given.
        device: auto, cpu, cuda, ...
        offline: Make no network call.

    Raises:
        ZooError: It cannot be trained; the message says why.
    """
    start = time.perf_counter()
    name, rows = model or context.backbones[0], _judged(context)
    with tempfile.TemporaryDirectory(prefix="zoovet-") as folder:
        run = finetune(
            name,
            _divided(context, rows),
            out=Path(folder) / "run",
            device=device,
            offline=offline,
            recipe="finetune",
            time=seconds,
            seed=context.seed,
        )
        said = run.predictions("test")
    place = {path: position for position, path in enumerate(context.paths)}
    predicted = np.full(len(context.dataset), -1, dtype=np.int64)
    predicted[[place[path] for path in said.paths]] = said.predicted
    judged = np.flatnonzero(predicted >= 0)
    return Stronger(
        control=Control(
            name="fine-tuned",
            accuracy=accuracy(predicted[judged] == context.labels[judged]),
            seconds=time.perf_counter() - start,
            detail=f"{name}, all weights trained for {seconds:.0f} s, judged on {len(judged)} images",
        ),
        predicted=predicted,
    )


def _judged(context: Context) -> IntArray:
    return context.held_out if context.splits_given else np.flatnonzero(context.folds == context.folds.min())


def _divided(context: Context, rows: IntArray) -> Dataset:
    """The data with the judged images as its test split and all others for training; groups stay together."""
    judged = set(rows.tolist())
    samples = tuple(
        replace(sample, split="test" if i in judged else "train", group=str(context.groups[i]))
        for i, sample in enumerate(context.dataset.samples)
    )
    return replace(context.dataset, samples=samples, given_splits=True, skipped=())
