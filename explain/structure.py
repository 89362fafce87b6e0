"""Which layers of a classifier still know where things are: found by rule, checked by measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from explain.errors import AttributionError
from explain.isolation import isolated, seeded
from explain.layout import Layout, Order, layouts

Family = Literal["cnn", "vit", "hierarchical", "unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """One call of one layer whose output is a picture of features.

    Attributes:
        path: The module's name in the model.
        call: Which call of the module in a forward pass, counted from 0 (modules may be reused).
        layout: How its output lies.
    """

    path: str
    call: int
    layout: Layout

    def __str__(self) -> str:
        return self.path if self.call == 0 else f"{self.path}#{self.call}"


@dataclass(frozen=True, kw_only=True)
class Structure:
    """What attribution needs to know of a model, for one input size.

    Attributes:
        family: Convolutional, plain ViT, or a pyramid of mixed stages.
        sites: The last usable layer of each resolution, the deepest first.
        attention: Modules whose output is a global attention matrix ``(n, heads, tokens, tokens)``, in order.
        tokens: Layout of those tokens; ``None`` where there is no global attention.
    """

    family: Family
    sites: tuple[Site, ...]
    attention: tuple[str, ...] = ()
    tokens: Layout | None = None


def logits(output: Any) -> Tensor:
    """The class scores ``(n, classes)`` in whatever a classifier returns."""
    if hasattr(output, "logits"):
        output = output.logits
    if isinstance(output, (tuple, list)):
        output = output[0]
    if not isinstance(output, Tensor) or output.ndim != 2:
        raise AttributionError(
            f"The model returns {type(output).__name__}, not scores of shape (images, classes).",
            remedy="Wrap it in a module that returns the logits.",
        )
    return output


def tensor_of(output: Any) -> Tensor | None:
    """The tensor that a layer hands on: itself, or the first of a tuple."""
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    return output if isinstance(output, Tensor) else None


@dataclass(kw_only=True)
class _Call:
    path: str
    call: int
    output: Tensor
    module: nn.Module


@contextmanager
def _recording(model: nn.Module, calls: list[_Call], wanted: Callable[[_Call], bool]) -> Iterator[None]:
    """Keep the calls that are ``wanted``. All outputs of a model, attention matrices among them, would fill a memory."""
    counts: dict[str, int] = {}

    def record(path: str, module: nn.Module, output: Any) -> None:
        number = counts.get(path, 0)
        counts[path] = number + 1
        tensor = tensor_of(output)
        if tensor is not None and tensor.ndim in (3, 4) and tensor.is_floating_point():
            call = _Call(path=path, call=number, output=tensor, module=module)
            if wanted(call):
                calls.append(call)

    handles = [
        module.register_forward_hook(lambda m, _args, out, path=path: record(path, m, out))
        for path, module in model.named_modules()
        if path
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def find_structure(model: nn.Module, inputs: Tensor) -> Structure:
    """Look a classifier over with a few passes: which layers hold pictures, in which layout, and where gradients reach.

    A layer counts when its output may be a grid of the picture, when a change in a corner of the picture changes that
    corner of the grid (a wrong layout fails this), and when the gradient of the classes there is not zero: after a
    ViT's last block, for instance, the patches no longer matter to the class token.

    Args:
        model: Any classifier that returns ``(n, classes)``.
        inputs: One or more normalised images ``(n, channels, rows, columns)``; the first is used.
    """
    inputs = inputs[:1].detach().clone()
    with isolated(model):
        calls = _calls_with_gradient(model, inputs)
        changes = _changes(model, inputs, {(c.path, c.call) for c, _ in calls})
        sites = _sites(model, calls, changes, (inputs.shape[2], inputs.shape[3]))
    del calls, changes
    with isolated(model, attention=True):
        attention, tokens = _attention(model, inputs, sites)
    return Structure(family=_family(model, sites, attention), sites=sites, attention=attention, tokens=tokens)


def _calls_with_gradient(model: nn.Module, inputs: Tensor) -> list[tuple[_Call, Tensor]]:
    """Calls that the class scores depend on, with the gradient there, in order of execution; the batch is 2."""
    calls: list[_Call] = []
    doubled = torch.cat([inputs, inputs]).requires_grad_()
    image = (inputs.shape[2], inputs.shape[3])

    def wanted(call: _Call) -> bool:
        shape = tuple(call.output.shape)
        is_batch = call.output.requires_grad and shape[0] == 2
        return is_batch and _may_be_site(call) and bool(layouts(shape, image, None, None))

    with _recording(model, calls, wanted):
        scores = logits(model(doubled))
    if not calls:
        return []
    mix = torch.randn(scores.shape[1], generator=seeded(0, torch.device("cpu"))).to(scores)
    gradients = torch.autograd.grad((scores * mix).sum(), [c.output for c in calls], allow_unused=True)
    found = []
    for call, gradient in zip(calls, gradients, strict=True):
        call.output = call.output.detach()
        if gradient is not None:
            found.append((call, gradient))
    return found


def _may_be_site(call: _Call) -> bool:
    # A projection's tokens are queries, keys or values, not the residual stream that a heatmap is read from.
    return not (call.output.ndim == 3 and isinstance(call.module, (nn.Linear, nn.Dropout, nn.Softmax)))


def _changes(model: nn.Module, inputs: Tensor, wanted: set[tuple[str, int]]) -> dict[tuple[str, int], Tensor]:
    """How much each output changes when one of the four corners is redrawn: ``(4, *output shape)``."""
    rows, columns = inputs.shape[2] // 4, inputs.shape[3] // 4
    # A seed that nobody draws test pictures with: noise equal to the picture would change nothing.
    noise = torch.randn(inputs.shape, generator=seeded(0x5EED, torch.device("cpu"))).to(inputs)
    batch = inputs.repeat(5, 1, 1, 1)
    for k, (top, left) in enumerate(((0, 0), (0, -columns), (-rows, 0), (-rows, -columns)), start=1):
        window = (slice(top, top + rows or None), slice(left, left + columns or None))
        batch[k, :, *window] = noise[0, :, *window]
    calls: list[_Call] = []
    with torch.no_grad(), _recording(model, calls, lambda c: (c.path, c.call) in wanted and c.output.shape[0] == 5):
        model(batch)
    return {(c.path, c.call): (c.output[1:] - c.output[:1]).abs().float() for c in calls}


def is_local(layout: Layout, change: Tensor) -> bool:
    """Whether redrawing each corner of the picture moved that corner of the grid the most.

    Args:
        layout: The layout in question.
        change: Absolute change of the output for the corners top left, top right, bottom left, bottom right.
    """
    energy = layout.to_grid(change).sum(1).double()
    share = energy / energy.flatten(1).sum(1).clamp_min(1e-300)[:, None, None]
    rows = torch.linspace(-1, 1, layout.grid[0], dtype=torch.float64, device=share.device)
    columns = torch.linspace(-1, 1, layout.grid[1], dtype=torch.float64, device=share.device)
    y, x = (share.sum(2) * rows).sum(1), (share.sum(1) * columns).sum(1)
    # Relative to the mean of the four: a net with a bias of its own still answers in the right direction.
    y, x = y - y.mean(), x - x.mean()
    expected = ((-1, -1), (-1, 1), (1, -1), (1, 1))
    right = sum(bool(y[k] * v > 1e-6) and bool(x[k] * h > 1e-6) for k, (v, h) in enumerate(expected))
    return right >= 3


def _sites(
    model: nn.Module,
    calls: Sequence[tuple[_Call, Tensor]],
    changes: dict[tuple[str, int], Tensor],
    image: tuple[int, int],
) -> tuple[Site, ...]:
    """The deepest usable call of each resolution, the deepest resolution first."""
    declared: Order | None = "NHWC" if str(getattr(model, "output_fmt", "")).endswith("NHWC") else None
    prefix = getattr(model, "num_prefix_tokens", None)
    found: list[Site] = []
    for call, gradient in reversed(calls):
        if call.output.ndim == 3 and not _is_stream(call.module):
            continue
        change = changes.get((call.path, call.call))
        for layout in layouts(tuple(call.output.shape), image, declared, prefix):
            if any(layout.grid == site.layout.grid for site in found) or change is None:
                continue
            if bool((layout.to_grid(gradient) != 0).any()) and is_local(layout, change):
                found.append(Site(path=call.path, call=call.call, layout=layout))
                break
    # Execution order is depth; a coarser grid met while walking back is a side branch, not an earlier stage.
    kept: list[Site] = []
    for site in found:
        if not kept or site.layout.grid[0] > kept[-1].layout.grid[0]:
            kept.append(site)
    return tuple(kept[:4])


def _is_stream(module: nn.Module) -> bool:
    """Whether a module's tokens are the residual stream: a block, or a norm (timm replaces some norms by Identity)."""
    name = type(module).__name__.lower()
    is_part = any(word in name for word in ("attn", "attention", "mlp", "dropout", "gelu", "linear", "scale"))
    return not is_part and (isinstance(module, nn.Identity) or "norm" in name or any(True for _ in module.children()))


def _attention(model: nn.Module, inputs: Tensor, sites: Sequence[Site]) -> tuple[tuple[str, ...], Layout | None]:
    """Global attention over the tokens of the deepest site, where the model has it."""
    if not sites or sites[0].layout.order != "tokens":
        return (), None
    layout = sites[0].layout
    tokens = layout.prefix + layout.grid[0] * layout.grid[1]
    paths: list[str] = []

    def note(call: _Call) -> bool:
        if call.path.endswith("attn_drop") and tuple(call.output.shape[2:]) == (tokens, tokens):
            paths.append(call.path)
        return False  # the matrix itself is not needed

    with torch.no_grad(), _recording(model, [], note):
        model(inputs)
    if not paths or len(set(paths)) != len(paths):
        return (), None
    return tuple(paths), layout


def _family(model: nn.Module, sites: Sequence[Site], attention: Sequence[str]) -> Family:
    if not sites:
        return "unknown"
    if attention:
        return "vit"
    mixes = any("attention" in type(m).__name__.lower() for m in model.modules())
    return "hierarchical" if mixes or sites[0].layout.order != "NCHW" else "cnn"
