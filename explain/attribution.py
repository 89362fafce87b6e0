"""One call that turns a model, images and classes into signed heatmaps, by a named method or a named fallback."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from explain.batches import images_a_pass, in_batches
from explain.errors import AttributionError
from explain.isolation import isolated
from explain.structure import Structure, find_structure, logits
from zoo.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a method is given: a model in evaluation mode, autograd on, parameters frozen.

    Attributes:
        model: The classifier.
        structure: Its layers that hold pictures.
        inputs: Normalised images ``(n, channels, rows, columns)``.
        weights: What is explained: ``score = (logits * weights).sum(1)``, shape ``(n, classes)``. One-hot for a class,
            a difference of two for a contrast.
        seed: Of whatever the method draws.
    """

    model: nn.Module
    structure: Structure
    inputs: Tensor
    weights: Tensor
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """Heatmaps of a batch.

    Attributes:
        maps: Signed relevance ``(n, rows, columns)``, float32, on the CPU; positive speaks for the target. Raw: no
            rectification, no scaling for each image.
        method: The method that made them.
        layer: Where it read; empty for methods that read the input.
        fallback: Why the method asked for was not used; empty where it was.
        completeness_error: Of path methods: ``|sum - (f(x) - f(baseline))|`` over ``|f(x) - f(baseline)|``, the median
            of the batch; ``None`` for others.
    """

    maps: Tensor
    method: str
    layer: str = ""
    fallback: str = ""
    completeness_error: float | None = None


class Method(ABC):
    """A way to make heatmaps: a frozen dataclass of its settings, one file in ``explain/methods``.

    The class's docstring says what the method does, its known problems and its paper.

    Attributes:
        resolution: Whether maps come on a layer's grid or for each pixel.
        attention: Needs attention matrices (timm's fused attention is switched off meanwhile).
        memory: Copies of an image that one pass over it holds at the same time.
    """

    resolution: ClassVar[str] = "grid"
    attention: ClassVar[bool] = False
    memory: ClassVar[int] = 1

    @abstractmethod
    def obstacle(self, structure: Structure) -> str:
        """Why the method does not fit a model; empty where it does."""

    @abstractmethod
    def attribute(self, task: Task) -> Attribution:
        """Heatmaps at the method's own resolution. Raises ``AttributionError`` where it cannot give a truthful one."""


METHODS: Registry[Method] = Registry("attribution method", package="explain.methods")

#: Tried in this order where the method asked for does not fit. Occlusion needs no gradient and no layer.
FALLBACKS = ("integrated-gradients", "occlusion")


class Scorer(nn.Module):
    """The model with one number for each image: what Captum differentiates."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """The score ``(n,)``, in float32 also in mixed precision."""
        return (logits(self.model(inputs)).float() * weights).sum(1)


def class_weights(classes: Tensor, num_classes: int) -> Tensor:
    """Weights that explain one class each: ``(n,)`` to one-hot ``(n, num_classes)``."""
    return nn.functional.one_hot(classes, num_classes).float()


def attribute(
    model: nn.Module,
    inputs: Tensor,
    weights: Tensor,
    *,
    method: str = "hirescam",
    structure: Structure | None = None,
    seed: int = 0,
    batch: int = 16,
) -> Attribution:
    """Signed heatmaps of the input's size. The model is left as it came.

    Args:
        model: Any classifier that returns ``(n, classes)``.
        inputs: Normalised images ``(n, channels, rows, columns)``, on the model's device.
        weights: ``(n, classes)``; see ``Task``.
        method: A name in ``METHODS``.
        structure: What ``find_structure`` found; looked up when absent.
        seed: Same seed, same maps.
        batch: Images at a time; halved when memory runs out.

    Raises:
        OptionError: There is no such method.
        AttributionError: No method, not even a fallback, gives finite maps.
    """
    asked = METHODS[method]
    inputs = inputs.detach().to(next(model.parameters(), inputs).dtype)
    structure = structure or find_structure(model, inputs)
    reason = ""
    for name in (method, *(f for f in FALLBACKS if f != method)):
        chosen = METHODS[name]
        obstacle = chosen.obstacle(structure)
        if not obstacle:
            task = Task(model=model, structure=structure, inputs=inputs, weights=weights.to(inputs.device), seed=seed)
            try:
                found = _attribute(chosen, task, batch)
            except AttributionError as error:
                obstacle = error.what
            else:
                return replace(found, method=name, fallback="" if chosen is asked else f"{method}: {reason}")
        reason = reason or obstacle
    raise AttributionError(f"No method gives a heatmap of this model. {method}: {reason}", remedy="Use another model.")


def _attribute(method: Method, task: Task, batch: int) -> Attribution:
    def part(start: int, stop: int) -> Attribution:
        window = replace(task, inputs=task.inputs[start:stop].clone(), weights=task.weights[start:stop])
        found = method.attribute(window)
        return replace(found, maps=_to_input_size(found.maps, window.inputs))

    with isolated(task.model, attention=method.attention):
        parts = in_batches(part, len(task.inputs), max(1, images_a_pass(task.inputs, batch) // method.memory))
    maps = torch.cat([p.maps for p in parts])
    if not bool(torch.isfinite(maps).all()):
        raise AttributionError("the map holds values that are not finite.", remedy="Use another method.")
    errors = [p.completeness_error for p in parts if p.completeness_error is not None]
    return replace(parts[0], maps=maps, completeness_error=max(errors) if errors else None)


def _to_input_size(maps: Tensor, inputs: Tensor) -> Tensor:
    maps = maps.detach().float()
    if maps.shape[1:] != inputs.shape[2:]:
        size = (inputs.shape[2], inputs.shape[3])
        maps = nn.functional.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    return maps.cpu()
