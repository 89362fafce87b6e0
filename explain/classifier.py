"""What is explained: a model, how it wants its images, and the names of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from explain.batches import images_a_pass
from explain.isolation import isolated
from explain.structure import logits
from zoo.errors import DeviceError, OptionError
from zoo.preprocess import Preprocess
from zoo.run import Run


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """A model with its preprocessing and class names.

    Attributes:
        module: Returns ``(n, classes)``; left as it came by everything here.
        preprocess: How images become its inputs.
        classes: In the order of its outputs; numbers are used where it is empty.
        name: For titles.
    """

    module: nn.Module
    preprocess: Preprocess
    classes: tuple[str, ...] = ()
    name: str = "model"

    def class_name(self, index: int) -> str:
        """The name of a class, or its number."""
        return self.classes[index] if index < len(self.classes) else f"class {index}"

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next((p.device for p in self.module.parameters()), torch.device("cpu"))

    def inputs(self, pixels: Sequence[np.ndarray[Any, np.dtype[np.uint8]]]) -> Tensor:
        """Pictures ``(height, width, channels)``, uint8, as one normalised batch on the model's device."""
        stacked = torch.from_numpy(np.stack(pixels)).to(self.device)
        return self.preprocess.normalise(stacked)

    def scores(self, inputs: Tensor, batch: int) -> Tensor:
        """Logits ``(n, classes)``, float32, on the CPU."""
        dtype = next((p.dtype for p in self.module.parameters()), torch.float32)
        with isolated(self.module), torch.no_grad():
            return torch.cat(
                [
                    logits(self.module(part.to(dtype))).float().cpu()
                    for part in torch.split(inputs, images_a_pass(inputs, batch))
                ]
            )


def classifier_of(subject: Classifier | Run | nn.Module | str | Path, *, device: str = "auto") -> Classifier:
    """A classifier from whatever a person has.

    Args:
        subject: A classifier; a run or its folder; or a model alone, whose preprocessing is timm's where it has one,
            else ImageNet's usual one.
        device: ``auto`` leaves a model where it is, and puts a run on the fastest device.

    Raises:
        RunError: The folder holds no run.
        DeviceError: The device is absent.
    """
    if isinstance(subject, Classifier):
        found = subject
    elif isinstance(subject, nn.Module):
        found = Classifier(module=subject, preprocess=_preprocess_of(subject), name=type(subject).__name__)
    else:
        run = subject if isinstance(subject, Run) else Run.open(subject)
        found = Classifier(module=run.module(), preprocess=run.preprocess, classes=run.classes, name=run.path.name)
        device = _fastest() if device == "auto" else device
    if device != "auto":
        _move(found.module, device)
    return found


def _fastest() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _move(module: nn.Module, device: str) -> None:
    try:
        module.to(torch.device(device))
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        raise DeviceError(
            f"The device {device!r} cannot be used.", remedy="Leave --device away, or use cpu."
        ) from error


def _preprocess_of(module: nn.Module) -> Preprocess:
    """From timm's ``pretrained_cfg``, which every timm model carries."""
    config: Any = getattr(module, "pretrained_cfg", None)
    if not config:
        return Preprocess()
    return Preprocess(
        size=tuple(config["input_size"][1:]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"] or "bicubic",
        crop_pct=config["crop_pct"] or 0.875,
    )


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What is explained of each image.

    Attributes:
        weights: ``(n, classes)``; see ``attribution.Task``.
        names: In words, for each image.
    """

    weights: Tensor
    names: tuple[str, ...]


def targets(classifier: Classifier, scores: Tensor, labels: Sequence[int | None], spec: str) -> Targets:
    """Turn ``--target`` into weights.

    Args:
        classifier: Names the classes.
        scores: Logits ``(n, classes)``.
        labels: True classes where known.
        spec: ``pred``: the predicted class. ``true``: the true one. ``contrast``: predicted minus true for confusions,
            predicted minus runner-up elsewhere. Anything else: a class, by name or number.

    Raises:
        OptionError: No such class, or a label is needed and absent.
    """
    predicted = scores.argmax(1)
    if spec == "pred":
        return _one_class(classifier, predicted, scores.shape[1])
    if spec in ("true", "contrast"):
        if any(label is None for label in labels):
            raise OptionError(
                f"The target {spec!r} needs the true class of every image.",
                remedy="Put the images in folders named like their classes, or use --target pred.",
            )
        true = torch.tensor([int(label or 0) for label in labels])
        return _one_class(classifier, true, scores.shape[1]) if spec == "true" else _contrast(classifier, scores, true)
    return _one_class(classifier, torch.full_like(predicted, _class_index(classifier, spec, scores)), scores.shape[1])


def _class_index(classifier: Classifier, spec: str, scores: Tensor) -> int:
    if spec in classifier.classes:
        return classifier.classes.index(spec)
    if spec.isdecimal() and int(spec) < scores.shape[1]:
        return int(spec)
    known = ", ".join(classifier.classes[:12]) or f"0 to {scores.shape[1] - 1}"
    raise OptionError(f"There is no class {spec!r}.", remedy=f"Use pred, true, contrast or one of: {known}.")


def _one_class(classifier: Classifier, classes: Tensor, count: int) -> Targets:
    weights = nn.functional.one_hot(classes, count).float()
    return Targets(weights=weights, names=tuple(classifier.class_name(int(k)) for k in classes))


def _contrast(classifier: Classifier, scores: Tensor, true: Tensor) -> Targets:
    predicted, runner_up = scores.topk(2, dim=1).indices.T
    against = torch.where(predicted == true, runner_up, true)
    count = scores.shape[1]
    weights = nn.functional.one_hot(predicted, count).float() - nn.functional.one_hot(against, count).float()
    pairs = zip(predicted.tolist(), against.tolist(), strict=True)
    return Targets(
        weights=weights,
        names=tuple(f"{classifier.class_name(p)} rather than {classifier.class_name(a)}" for p, a in pairs),
    )
