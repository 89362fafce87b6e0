"""From a folder of images to a run: the path of a fine-tuning, step by step.

``finetune`` makes the run folder and ``resume`` opens one; both then take the same steps. Every step gives the same
result when it is taken again, so a run that was killed anywhere can go on.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from accelerate.utils import broadcast_object_list

from zoo import devices
from zoo.catalog import Card, card
from zoo.data import read, split
from zoo.data.dataset import Dataset
from zoo.duplicates import duplicate_groups
from zoo.errors import DataError, RunError
from zoo.features import embed
from zoo.files import write_tensors
from zoo.job import RECIPES, Fitted, Job, write_rows
from zoo.modelcard import write_model_card
from zoo.progress import ProgressCallback, silent
from zoo.report import write_report
from zoo.run import Run, RunConfig, version
from zoo.settings import Settings

Say = Callable[[str], None]


def finetune(
    model: str,
    data: str | Path | Dataset,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    offline: bool = False,
    progress: ProgressCallback = silent,
    say: Say = lambda _: None,
    **choices: Any,
) -> Run:
    """Fine-tune a pretrained model on labelled images.

    Args:
        model: A name of the catalog, an alias (``resnet``), ``hf-hub:owner/name`` or a local file.
        data: An image folder, a manifest, a zip, ``hf:name``, or what ``zoo.data.read`` made of one.
        out: Folder of the run; by default the next number under ``runs/``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        offline: Make no network call.
        progress: Told how far the work is.
        say: Told in words what was chosen and found.
        **choices: Fields of ``zoo.settings.Settings``, such as ``epochs=5`` or ``seed=1``.

    Returns:
        The finished run.

    Raises:
        ZooError: What a person can mend; see ``zoo.errors``.
        KeyboardInterrupt: After Ctrl-C; the state is saved and ``resume`` goes on.
    """
    settings = Settings().override(choices)
    devices.check(device)
    chosen = card(model, offline=offline)
    if chosen.name != model:
        say(f"{model} -> {chosen.name}")
    dataset = data if isinstance(data, Dataset) else read(data, offline=offline)
    source = dataset.root if isinstance(data, Dataset) else data
    config = RunConfig(
        model=chosen.name,
        data=str(Path(source).resolve()) if Path(source).exists() else str(source),
        settings=replace(settings, recipe=settings.recipe or _default_recipe(settings, chosen, device)),
        classes=dataset.classes,
        preprocess=chosen.preprocess,
        version=version("zoovet"),
    )
    run = _shared(lambda: Run.create(config, dataset, out=Path(out) if out else None))
    say(f"run: {run.path}")
    return _advance(run, device=device, offline=offline, progress=progress, say=say)


def resume(
    path: str | Path,
    *,
    epochs: int | None = None,
    device: str = "auto",
    offline: bool = False,
    progress: ProgressCallback = silent,
    say: Say = lambda _: None,
) -> Run:
    """Go on with a run that was stopped, or train a finished one for more epochs.

    Args:
        path: The run folder.
        epochs: Total number of epochs, where it is to change.
        device: As for ``finetune``.
        offline: Make no network call.
        progress: Told how far the work is.
        say: Told in words what was chosen and found.

    Raises:
        ZooError: The folder is no run, is damaged, or is being trained by another process.
    """
    devices.check(device)
    run = Run.open(path)
    before = run.config.settings
    if epochs is not None and before.recipe != "finetune":
        raise RunError(
            f"{path} is a probe: it has no epochs.",
            remedy=f"Fine-tune all weights: zoo finetune {run.config.model} DATA --full",
        )
    if run.finished and (epochs is None or epochs == before.epochs):
        say(f"{path} is finished. For more epochs: zoo resume {path} --epochs N")
        return run
    if epochs is not None:
        run.write_config(replace(run.config, settings=before.override({"epochs": epochs, "time": None})))
    return _advance(run, device=device, offline=offline, progress=progress, say=say)


def _advance(run: Run, *, device: str, offline: bool, progress: ProgressCallback, say: Say) -> Run:
    """Take every step that leads to a finished run."""
    main = devices.processes().is_main_process
    if main:
        run.acquire()

    def tell(line: str) -> None:
        if main:
            say(line)
            run.log(line)

    try:
        (run.path / "README.md").unlink(missing_ok=True)
        job = _prepare(run, device=device, offline=offline, progress=progress, say=tell)
        fitted = RECIPES[job.settings.recipe or "probe"](job)
        if main:
            _finish(job, fitted)
    finally:
        if main:
            run.lock.release()
    devices.processes().wait_for_everyone()
    return run


def _prepare(run: Run, *, device: str, offline: bool, progress: ProgressCallback, say: Say) -> Job:
    """Look at every image once, leave out what cannot be used, and make the splits."""
    chosen = card(run.config.model, offline=offline)
    features = embed(run.dataset(), [chosen], device=device, offline=offline, progress=progress)
    _check_usable(features.dataset)
    groups = duplicate_groups(features.statistics)
    settings = run.config.settings
    dataset = split(features.dataset, seed=settings.seed, val_fraction=settings.val_fraction, groups=groups)
    if devices.processes().is_main_process:
        run.write_dataset(dataset)
    for line in (*_skipped_summary(dataset), *dataset.warnings):
        say(line)
    say(_counts(dataset))
    return Job(
        run=run, card=chosen, dataset=dataset, features=features.matrix(chosen.name), groups=groups,
        settings=settings, device=device, offline=offline, progress=progress, say=say,
    )  # fmt: skip


def _finish(job: Job, fitted: Fitted) -> None:
    """Write all that the run folder promises; the model card comes last and marks the run as finished."""
    folder = job.run.path
    write_tensors(folder / "weights" / "best.safetensors", fitted.weights)
    if not (folder / "weights" / "last.safetensors").exists():
        shutil.copyfile(folder / "weights" / "best.safetensors", folder / "weights" / "last.safetensors")
    for name, predictions in fitted.predictions.items():
        predictions.write(folder / f"predictions-{name}.csv")
    write_rows(folder, fitted.rows)
    for note in fitted.notes:
        job.say(note)
    write_report(job.run, notes=fitted.notes)
    write_model_card(job.run, license=job.card.license)


def _default_recipe(settings: Settings, chosen: Card, device: str) -> Literal["probe", "finetune"]:
    """Fine-tuning where it is quick (a GPU) or asked for by its length; a probe needs pretrained features."""
    long = settings.time is not None or settings.epochs is not None
    has_features = chosen.source != "zoo"
    return "finetune" if long or not has_features or devices.torch_device(device).type != "cpu" else "probe"


def _shared(create: Callable[[], Run]) -> Run:
    """Make the run in the main process, and open the same one in the others."""
    state = devices.processes()
    paths = [str(create().path) if state.is_main_process else None]
    if state.num_processes > 1:
        broadcast_object_list(paths)
    return Run.open(str(paths[0]))


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
