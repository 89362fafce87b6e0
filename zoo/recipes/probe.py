"""probe: a linear head on the frozen features. The default on a CPU, and where every fine-tuning starts.

Everything is computed from stored features; the backbone does not run.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from zoo.data.dataset import Dataset, IntArray, Split
from zoo.data.folds import choose_validation, folds
from zoo.errors import DataError
from zoo.job import RECIPES, Fitted, Job, Row
from zoo.metrics import scores
from zoo.predictions import Predictions
from zoo.probe import Probe
from zoo.probe_cache import cached_probe
from zoo.weights import with_head

_FOLDS = 5


@RECIPES.register("probe")
def fit(job: Job) -> Fitted:
    """Fit the head and fold it into the pretrained model.

    Where a class has too few images for a validation split, all of them train the head, and the predictions on
    validation are cross-validated ones: each image's by heads that have not seen it.
    """
    job = job.settle(replace(job.settings, recipe="probe"))
    validation = choose_validation(job.dataset)
    if validation.folds:
        job = replace(job, dataset=_all_for_training(job.dataset))
    fitted = fit_probe(job)
    job.say(f"head: {fitted.method}, strength {fitted.strength:g}, chosen by cross-validation")
    predictions: dict[Split, Predictions] = {}
    if validation.folds:
        predictions["val"] = job.predictions("train", fitted.out_of_fold)
    for split in ("val", "test"):
        if len(job.dataset.indices(split)):
            predictions[split] = job.predictions(split, fitted.head.probabilities(job.rows(split)[0]))
    weight, bias = torch.from_numpy(fitted.head.weight), torch.from_numpy(fitted.head.bias)
    return Fitted(
        weights=with_head(job.card, weight, bias, offline=job.offline),
        predictions=predictions,
        rows=(probe_row(predictions.get("val"), shipped=True),) if "val" in predictions else (),
        notes=(_cross_validated(job, fitted), *([validation.reason] if validation.folds else [])),
    )


def fit_probe(job: Job) -> Probe:
    """The head, its strength chosen by cross-validation on the training images.

    Raises:
        DataError: The training images are all of one class.
    """
    indices = job.dataset.indices("train")
    labels, groups = job.dataset.labels[indices], job.groups[indices]
    if len(np.unique(labels)) < 2:
        raise DataError(
            "The training images are all of one class, so there is nothing to tell apart.",
            remedy="Add images of a second class.",
        )
    weights = job.class_weights() if job.settings.class_weights else None
    number = folds(labels, groups, _fold_count(labels, groups), job.settings.seed)
    return cached_probe(job.features[indices], labels, len(job.dataset.classes), folds=number, class_weights=weights)


def probe_row(predictions: Predictions | None, *, shipped: bool) -> Row:
    """The probe's line in ``metrics.csv``."""
    if predictions is None:
        return Row(name="probe", val_loss=float("nan"), val_accuracy=float("nan"), shipped=shipped)
    figures = predictions.scores()
    return Row(name="probe", val_loss=figures.log_loss, val_accuracy=figures.accuracy, shipped=shipped)


def _fold_count(labels: IntArray, groups: IntArray) -> int:
    """Five folds, fewer where there are fewer groups."""
    return int(max(2, min(_FOLDS, len(np.unique(groups)), len(labels))))


def _all_for_training(dataset: Dataset) -> Dataset:
    samples = tuple(replace(s, split="train") if s.split == "val" else s for s in dataset.samples)
    return replace(dataset, samples=samples)


def _cross_validated(job: Job, fitted: Probe) -> str:
    figures = scores(job.rows("train")[1], fitted.out_of_fold)
    low, high = figures.interval
    return (
        f"Cross-validated on the {figures.count} training images, the probe is right on {figures.accuracy:.1%}"
        f" (95 % interval {low:.1%} to {high:.1%})."
    )
