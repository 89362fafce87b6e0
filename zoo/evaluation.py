"""A run on images it has not seen: labelled ones to score it, others to use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zoo.data import read, read_unlabelled
from zoo.data.dataset import Dataset, Sample, Skipped, Split
from zoo.data.names import printable
from zoo.errors import DataError, RunError, StorageError
from zoo.features import embed
from zoo.predictions import Predictions
from zoo.progress import ProgressCallback, silent
from zoo.registry import nearest
from zoo.run import Run


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a run says of images.

    Attributes:
        predictions: Of the images that can be used.
        skipped: The files that cannot.
        trained_on: How many of the images the run was trained on: on these any model looks too good.
    """

    predictions: Predictions
    skipped: tuple[Skipped, ...] = ()
    trained_on: int = 0


def evaluate(
    run: Run,
    data: str | Path,
    *,
    split: Split | None = None,
    device: str = "auto",
    offline: bool = False,
    progress: ProgressCallback = silent,
) -> Evaluation:
    """Score a run on labelled data, whose classes are matched by name.

    Args:
        run: A finished run.
        data: As for ``zoo.finetune``.
        split: Only these images, where the data has splits; by default all.
        device: Where to compute.
        offline: Make no network call.
        progress: Told how far the work is.

    Raises:
        DataError: A class is unknown to the run, or no image can be used.
    """
    dataset = _in_classes_of(run, read(data, offline=offline))
    if split is not None:
        dataset = dataset.select(dataset.indices(split))
        if not len(dataset):
            raise DataError(f"{dataset.name} has no {split} images.", remedy="Leave --split away to use all of them.")
    files = [dataset.file(s) for s in dataset.samples]
    usable, probabilities, skipped = _predict(run, files, device=device, progress=progress)
    chosen = dataset.select(usable)
    predictions = Predictions(
        paths=tuple(s.path for s in chosen.samples),
        classes=run.classes,
        labels=chosen.labels,
        probabilities=probabilities,
    )
    return Evaluation(
        predictions=predictions, skipped=(*dataset.skipped, *skipped), trained_on=_trained_on(run, chosen)
    )


def _trained_on(run: Run, dataset: Dataset) -> int:
    """How many of these files are among the run's training images."""
    try:
        before = run.dataset()
    except RunError:  # the weights are what matters here
        return 0
    seen = {before.file(s).resolve() for s in before.samples if s.split == "train"}
    return sum(dataset.file(s).resolve() in seen for s in dataset.samples)


def predict(
    run: Run,
    images: str | Path | Sequence[str | Path],
    *,
    device: str = "auto",
    progress: ProgressCallback = silent,
) -> Evaluation:
    """Classify images that have no labels.

    Args:
        run: A finished run.
        images: A picture, a folder in any layout, a list of pictures (one path a line, or a table with a column
            ``path``), or several of these.
        device: Where to compute.
        progress: Told how far the work is.

    Raises:
        DataError: There is nothing there, or no image can be used.
    """
    named = [read_unlabelled(source) for source in ([images] if isinstance(images, str | Path) else images)]
    files = [dataset.file(sample) for dataset in named for sample in dataset.samples]
    if not files:
        raise DataError("There is no picture to classify.", remedy="Name a picture or a folder of pictures.")
    left_out = [replace(s, path=str(dataset.root / s.path)) for dataset in named for s in dataset.skipped]
    usable, probabilities, skipped = _predict(run, files, device=device, progress=progress)
    predictions = Predictions(
        paths=tuple(str(files[i]) for i in usable),
        classes=run.classes,
        labels=np.full(len(usable), -1, dtype=np.int64),
        probabilities=probabilities,
    )
    return Evaluation(predictions=predictions, skipped=(*left_out, *skipped))


def _predict(
    run: Run, files: list[Path], *, device: str, progress: ProgressCallback
) -> tuple[list[int], npt.NDArray[np.float32], list[Skipped]]:
    """Positions of the usable files, their probabilities, and the others with a reason."""
    usable, probabilities, skipped = _from_the_store(run, files, device, progress) or _one_by_one(
        run, files, device, progress
    )
    if not usable:
        reasons = "; ".join(f"{printable(s.path)}: {s.reason}" for s in skipped[:3])
        raise DataError(f"None of the {len(files)} images can be used ({reasons}).", remedy="Check the files.")
    return usable, probabilities, skipped


_Predicted = tuple[list[int], npt.NDArray[np.float32], list[Skipped]]


def _from_the_store(run: Run, files: list[Path], device: str, progress: ProgressCallback) -> _Predicted | None:
    """By the run's head on stored features, which are computed where they are missing; ``None`` where that cannot be."""
    from zoo.readout import readout  # torch

    if (read := readout(run)) is None:
        return None
    images = Dataset(root=Path(), samples=tuple(Sample(path=str(file), label=-1) for file in files), classes=())
    try:
        features = embed(images, [read.backbone], device=device, progress=progress)
    except StorageError:  # a cache that cannot be written is no reason not to answer
        return None
    reasons = {skipped.path: skipped for skipped in features.dataset.skipped}
    usable = [k for k, file in enumerate(files) if str(file) not in reasons]
    return usable, read.head.probabilities(features.matrix(read.backbone.card.name)), list(reasons.values())


def _one_by_one(run: Run, files: list[Path], device: str, progress: ProgressCallback) -> _Predicted:
    """By the whole model, storing nothing."""
    # Seconds of imports, after everything that a person may have mistyped was looked at.
    import torch

    from zoo.devices import best_precision, torch_device
    from zoo.predict import predict_files

    where = torch_device(device)
    module = run.module().to(where).to(memory_format=torch.channels_last)
    # A processor's bfloat16 would cost accuracy (``zoo.engine``).
    precision = "no" if where.type == "cpu" else best_precision(where)
    return predict_files(module, files, run.preprocess, device=where, precision=precision, progress=progress)


def _in_classes_of(run: Run, dataset: Dataset) -> Dataset:
    """The data set with its labels numbered as the run numbers them."""
    known = {name: number for number, name in enumerate(run.classes)}
    unknown = [name for name in dataset.classes if name not in known]
    if unknown:
        raise DataError(
            f"The class {printable(unknown[0])!r} is unknown to {run.path.name}.",
            remedy=nearest(unknown[0], dict.fromkeys(run.classes)),
        )
    number = [known[name] for name in dataset.classes]
    samples = tuple(replace(s, label=number[s.label] if s.label >= 0 else -1) for s in dataset.samples)
    return replace(dataset, samples=samples, classes=run.classes)
