"""The path of a fine-tuning, step by step, from a checked request to a finished run.

Every step gives the same result when it is taken again, so a run that was killed anywhere can go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from zoo import claim, devices
from zoo.catalog import Card, card
from zoo.checkpoints import Checkpoints
from zoo.data import split
from zoo.data.dataset import Dataset
from zoo.data.soundness import without_empty_classes
from zoo.duplicates import duplicate_groups
from zoo.errors import DataError, StorageError
from zoo.features import embed
from zoo.files import write_tensors
from zoo.job import RECIPES, Fitted, Job, write_rows
from zoo.modelcard import write_model_card
from zoo.outcome import add_seconds, write_notes
from zoo.progress import ProgressCallback
from zoo.report import write_report
from zoo.request import Request
from zoo.run import Run, version
from zoo.run_config import RunConfig
from zoo.settings import Settings

Say = Callable[[str], None]


def begin(asked: Request) -> Run:
    """Make the run's folder.

    Raises:
        DeviceError: There is no such device here.
        OptionError: Another process has taken the folder meanwhile.
        StorageError: The folder cannot be made.
    """
    devices.check(asked.device)
    settings, chosen = asked.settings, asked.card
    config = RunConfig(
        model=chosen.name,
        architecture=chosen.architecture,
        arguments=chosen.arguments,
        data=asked.source,
        settings=replace(settings, recipe=settings.recipe or _default_recipe(settings, chosen, asked.device)),
        classes=asked.dataset.classes,
        preprocess=chosen.preprocess,
        version=version("zoovet"),
    )
    return _shared(lambda: Run.create(config, asked.dataset, out=asked.out))


def advance(run: Run, settings: Settings, *, device: str, offline: bool, progress: ProgressCallback, say: Say) -> Run:
    """Take every step that leads to a finished run."""
    started = time.monotonic()

    def tell(line: str) -> None:
        say(line)
        run.log(line)

    with run.training():
        run.mark_unfinished()
        if settings != run.config.settings:
            run.write_config(replace(run.config, settings=settings))
        try:
            job = _prepare(run, device=device, offline=offline, progress=progress, say=tell)
            fitted = RECIPES[job.settings.recipe or "probe"](job)
            if devices.processes().is_main_process:
                _write(job, fitted)
        finally:
            if devices.processes().is_main_process:
                with suppress(StorageError):  # how long it took is no reason to fail
                    add_seconds(run.path, time.monotonic() - started)
        if devices.processes().is_main_process:
            write_model_card(run, license=job.card.license)  # comes last, and marks the run as finished
    devices.processes().wait_for_everyone()
    return run


def discard_unbegun(run: Run) -> None:
    """Remove the folder of a run in which nothing has been trained yet."""
    begun = run.weights.exists() or Checkpoints(run.path / "state").exists()
    if devices.processes().is_main_process and not begun:
        claim.discard(run.path)


def _prepare(run: Run, *, device: str, offline: bool, progress: ProgressCallback, say: Say) -> Job:
    """Look at every image once, leave out what cannot be used, and make the splits."""
    chosen = card(run.config.model, offline=offline)
    features = embed(run.dataset(), [chosen], device=device, offline=offline, progress=progress)
    _check_usable(features.dataset)
    left = without_empty_classes(features.dataset)
    if left.classes != features.dataset.classes:  # the rows come from the store
        features = embed(left, [chosen], device=device, offline=offline)
        _check_usable(features.dataset)
    groups = duplicate_groups(features.statistics)
    settings = run.config.settings
    dataset = split(features.dataset, seed=settings.seed, val_fraction=settings.val_fraction, groups=groups)
    run.write_dataset(dataset)
    if dataset.classes != run.classes:
        run.write_config(replace(run.config, classes=dataset.classes))
    for line in (*_skipped_summary(dataset), *dataset.warnings):
        say(line)
    say(_counts(dataset))
    return Job(
        run=run, card=chosen, dataset=dataset, features=features.matrix(chosen.name), groups=groups,
        settings=settings, device=device, offline=offline, progress=progress, say=say,
    )  # fmt: skip


def _write(job: Job, fitted: Fitted) -> None:
    """Write all that the run folder promises but for the model card."""
    folder = job.run.path
    write_tensors(folder / "weights" / "best.safetensors", fitted.weights)
    if job.settings.recipe == "probe":
        write_tensors(folder / "weights" / "last.safetensors", fitted.weights)
    for name, predictions in fitted.predictions.items():
        predictions.write(folder / f"predictions-{name}.csv")
    write_rows(folder, fitted.rows)
    for note in fitted.notes:
        job.say(note)
    write_notes(folder, fitted.notes)
    write_report(job.run)


def _default_recipe(settings: Settings, chosen: Card, device: str) -> Literal["probe", "finetune"]:
    """Fine-tuning where it is quick (a GPU) or asked for by its length; a probe needs pretrained features."""
    long = settings.time is not None or settings.epochs is not None
    has_features = chosen.source != "zoo"
    return "finetune" if long or not has_features or devices.torch_device(device).type != "cpu" else "probe"


def _shared(create: Callable[[], Run]) -> Run:
    """Make the run in the main process, and open the same one in the others."""
    return Run.open(devices.agreed(create().path if devices.processes().is_main_process else Path()))


def _check_usable(dataset: Dataset) -> None:
    if not len(dataset):
        reasons = "; ".join(f"{s.path}: {s.reason}" for s in dataset.skipped[:3])
        raise DataError(f"No image of {dataset.name} can be used ({reasons}).", remedy="Check the files.")
    if len(set(dataset.labels.tolist())) < 2:
        raise DataError(
            f"The usable images of {dataset.name} are all of one class, so there is nothing to tell apart.",
            remedy="Add images of a second class.",
        )


def _skipped_summary(dataset: Dataset) -> list[str]:
    lines = [f"skipped {s.path}: {s.reason}" for s in dataset.skipped[:5]]
    more = len(dataset.skipped) - len(lines)
    return [*lines, *([f"... and {more} more, all in data.json"] if more > 0 else [])]


def _counts(dataset: Dataset) -> str:
    counts = ", ".join(f"{len(dataset.indices(s))} {s}" for s in ("train", "val", "test") if len(dataset.indices(s)))
    return f"{len(dataset)} images in {len(dataset.classes)} classes: {counts}"
