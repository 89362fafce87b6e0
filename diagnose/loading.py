"""A checkpoint's tensors into an architecture: by the names as they are, and by what they were meant to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from diagnose.submission import Checkpoint
from zoo import catalog
from zoo.architecture import build
from zoo.card import Card
from zoo.classifier import embed, final_layer_names, set_head
from zoo.errors import WeightsError
from zoo.tensors import read_tensors

#: What wrappers put before every name: DataParallel, Lightning, torch.compile, averaging, and people.
_PREFIXES = ("", "module.", "model.", "_orig_mod.", "net.", "backbone.", "encoder.", "model.model.", "module.model.")


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The model, filled as far as the checkpoint allows.

    Attributes:
        model: In evaluation mode, on the CPU.
        card: Of the architecture.
        matched: Share of the model's tensors, the head's left out, that the checkpoint fills under its names as they are.
        filled: The same once ``prefix`` is taken off the names and tensors that have the wrong shape are left out.
        prefix: What stands before every name.
        missing: Names of tensors that stay as they were made (at most 5).
        outputs: Classes of the head; 0 where the checkpoint has none.
    """

    model: nn.Module
    card: Card
    matched: float
    filled: float
    prefix: str
    missing: tuple[str, ...]
    outputs: int


def load(checkpoint: Checkpoint, *, offline: bool = False) -> Loaded:
    """Build the architecture and fill it. Nothing in the file is ever executed.

    Raises:
        UnknownModelError: No model goes by that name.
        WeightsError: The file is damaged, or holds more than tensors.
    """
    card = catalog.card(checkpoint.model, offline=offline)
    tensors = read_tensors(checkpoint.path, remedy="Save it anew: torch.save(model.state_dict(), 'w.pth').")
    if not tensors:
        raise WeightsError(f"{str(checkpoint.path)!r} holds no tensors.", remedy="Save the model's state_dict().")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build(card)
    head = _head(model, card, tensors)
    own = {name: tensor for name, tensor in model.state_dict().items() if not _is_head(name, model)}
    prefix = max(_PREFIXES, key=lambda p: _fits(own, tensors, p))
    fitting = {n: tensors[prefix + n] for n, t in own.items() if _same(t, tensors.get(prefix + n))}
    model.load_state_dict(fitting, strict=False)
    if head is not None:
        set_head(model, *head)
    counted = [name for name in own if not name.endswith("num_batches_tracked")]
    return Loaded(
        model=model.eval(),
        card=card,
        matched=_fits(own, tensors, "") / max(1, len(own)),
        filled=len(fitting) / max(1, len(own)),
        prefix=prefix,
        missing=tuple(name for name in counted if name not in fitting)[:5],
        outputs=0 if head is None else len(head[1]),
    )


def untrained(card: Card, *, seed: int) -> nn.Module:
    """The same architecture with random weights, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(card).eval()


def _same(ours: Tensor, theirs: Tensor | None) -> bool:
    return theirs is not None and ours.shape == theirs.shape


def _fits(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], prefix: str) -> int:
    return sum(_same(tensor, tensors.get(prefix + name)) for name, tensor in own.items())


def _is_head(name: str, model: nn.Module) -> bool:
    return any(name in {f"{layer}.weight", f"{layer}.bias"} for layer in final_layer_names(model))


def _head(model: nn.Module, card: Card, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor] | None:
    """Weight and bias of the checkpoint's last layer, whatever its name; ``None`` where it is no single linear layer."""
    size = (card.preprocess.channels, *card.preprocess.size)
    with torch.no_grad():
        width = embed(model.eval(), torch.zeros(1, *size)).shape[1]
    inner = {name for name in model.state_dict() if not _is_head(name, model)}
    matrices = [name for name, tensor in tensors.items() if name.endswith("weight") and tensor.ndim in (2, 4)]
    outer = [name for name in matrices if not any(name.removeprefix(prefix) in inner for prefix in _PREFIXES)]
    if not outer:
        return None
    weight = tensors[outer[-1]]
    if weight.ndim == 4 and weight.shape[2:] == (1, 1):
        weight = weight.flatten(1)
    if weight.ndim != 2 or weight.shape[1] != width:
        return None  # somebody's own layers come after the features
    bias = tensors.get(outer[-1].removesuffix("weight") + "bias")
    return weight.float(), torch.zeros(len(weight)) if bias is None else bias.float()
