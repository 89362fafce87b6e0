"""One call that turns a model, images and classes into signed heatmaps, by a named method or a named fallback."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from explain.errors import AttributionError
from explain.isolation import isolated
from explain.structure import Site, Structure, find_structure, logits, tensor_of
from zoo.errors import DeviceError
from zoo.registry import Registry

T = TypeVar("T")


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
        parts = in_batches(part, len(task.inputs), max(1, batch // method.memory))
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


def in_batches(work: Callable[[int, int], T], count: int, size: int) -> list[T]:
    """``work(start, stop)`` over ``range(count)``, ``size`` at a time; when memory runs out, half as many.

    Raises:
        DeviceError: Not even one item fits.
    """
    results: list[T] = []
    start = 0
    while start < count:
        try:
            results.append(work(start, min(count, start + size)))
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            if size == 1:
                raise DeviceError("Not even one image fits in memory.", remedy="Use --device cpu.") from error
        else:
            start += size
            continue
        # Outside the handler: the traceback holds the tensors that do not fit.
        size //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return results


def _is_out_of_memory(error: RuntimeError) -> bool:
    # The CPU's allocator raises a plain RuntimeError.
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def gradient_at(task: Task, site: Site) -> tuple[Tensor, Tensor]:
    """Features and gradients ``(n, channels, rows, columns)`` at one site; see ``gradients_at``."""
    return gradients_at(task, (site,))[0]


def gradients_at(task: Task, sites: Sequence[Site]) -> list[tuple[Tensor, Tensor]]:
    """Features and gradients ``(n, channels, rows, columns)`` at sites of one pass, in float32.

    The pass up to the earliest site builds no graph; the pass back stops there. That is what makes CAM methods cheap.

    Args:
        task: Model, images and targets.
        sites: The deepest first.

    Raises:
        AttributionError: A gradient is zero everywhere (the layer does not reach the score), or a layout is wrong.
    """
    kept: dict[Site, Tensor] = {}
    handles = [_keep(task.model, site, kept, is_first=site is sites[-1]) for site in sites]
    try:
        with torch.no_grad():
            scores = logits(task.model(task.inputs))
        score = (scores.float() * task.weights).sum()
        found: Sequence[Tensor | None] = [None] * len(sites)
        if score.requires_grad and len(kept) == len(sites):
            found = torch.autograd.grad(score, [kept[site] for site in sites], allow_unused=True)
    finally:
        for handle in handles:
            handle.remove()
    pairs = []
    for site, gradient in zip(sites, found, strict=True):
        if gradient is None or not bool((grid := site.layout.to_grid(gradient)).any()):
            raise AttributionError(
                f"the gradient at {site} is zero everywhere: the layer does not reach the score.",
                remedy="Name an earlier layer.",
            )
        pairs.append((site.layout.to_grid(kept[site].detach()).float(), grid.float()))
    return pairs


def _keep(
    model: nn.Module, site: Site, kept: dict[Site, Tensor], *, is_first: bool
) -> torch.utils.hooks.RemovableHandle:
    """Hook a site: its output is kept; at the first one the graph begins."""
    seen = 0

    def keep(_module: nn.Module, _args: Any, output: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen - 1 != site.call:
            return None
        tensor = tensor_of(output)
        assert tensor is not None, "a site's output is a tensor"
        kept[site] = tensor.detach().requires_grad_() if is_first else tensor
        torch.set_grad_enabled(True)
        # A copy goes on, because the next layer may work in place.
        copied = kept[site].clone()
        return copied if isinstance(output, Tensor) else (copied, *output[1:])

    return model.get_submodule(site.path).register_forward_hook(keep)
