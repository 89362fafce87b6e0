"""Weights for a card: from a bundled package, a local file, the hub's cache or the hub. Never by unpickling code."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from zoo import hub
from zoo.architecture import architecture, build, drop_auxiliary, set_zero_head
from zoo.cache import file_digest
from zoo.card import Card
from zoo.classifier import final_layer_names, set_head
from zoo.errors import WeightsError
from zoo.location import file
from zoo.models.builtin import BUILT_IN
from zoo.tensors import read_tensors

__all__ = ["build", "fingerprint", "load", "parameters", "state_dict", "with_head"]


def load(card: Card, *, num_classes: int | None = None, offline: bool = False) -> nn.Module:
    """The model with its pretrained weights: float32, evaluation mode, on the CPU.

    Args:
        card: The model.
        num_classes: Classes of a new head of zeros; ``None`` keeps the pretrained head.
        offline: Make no network call.

    Raises:
        HubError: The weights are neither bundled nor cached, and cannot be fetched.
        WeightsError: The weights are damaged or do not fit the architecture.
        DependencyError: The package that carries the weights is not installed.
        ModelError: The installed timm or torchvision does not have the architecture.
    """
    with torch.random.fork_rng(devices=[]):  # a pretrained model draws no random numbers that anybody sees
        module = _pretrained(card, offline=offline)
    drop_auxiliary(module)
    module.float().eval()
    if num_classes is not None:
        set_zero_head(module, card, num_classes)
    return module


def _pretrained(card: Card, *, offline: bool) -> nn.Module:
    if card.source in {"bundled", "zoo"}:
        return _filled(architecture(card), BUILT_IN[card.name].state_dict(), card)
    if card.source == "timm" or card.arguments:
        return _timm_pretrained(card, _tensors(card, offline=offline))
    return _fitting(card, _converted(_tensors(card, offline=offline), card.architecture))


def state_dict(card: Card, *, offline: bool = False) -> dict[str, torch.Tensor]:
    """The pretrained weights under the names that :func:`build` gives them. Quick for built-in models: no timm."""
    if card.source in {"bundled", "zoo"}:
        return BUILT_IN[card.name].state_dict()
    return load(card, offline=offline).state_dict()


def fingerprint(card: Card, *, offline: bool = False) -> str:
    """A hexadecimal digest that names these exact weights. Quick: no model is built and no file read twice.

    Raises:
        HubError, WeightsError, DependencyError: As :func:`load`, where the weights must be fetched first.
    """
    if card.source in {"bundled", "zoo"}:
        return BUILT_IN[card.name].fingerprint()
    identity = repr((card.architecture, card.arguments, file_digest(file(card, offline=offline))))
    return hashlib.sha256(identity.encode()).hexdigest()


def parameters(card: Card) -> int:
    """How many parameters the model has: from its card, else by building it without memory for its weights.

    Raises:
        WeightsError: A local file, which alone tells the number of classes, is damaged or does not fit.
        ModelError: The installed timm or torchvision does not have the architecture.
    """
    if card.parameters is not None:
        return card.parameters
    if card.source == "local" and not card.arguments:
        module = load(card)
    else:
        with torch.device("meta"):
            module = architecture(card)
    return sum(parameter.numel() for parameter in module.parameters())


def _tensors(card: Card, *, offline: bool) -> dict[str, torch.Tensor]:
    path = file(card, offline=offline)
    if card.source == "local":
        return read_tensors(path, remedy="Get the file again from where it came.")
    try:
        return read_tensors(path, remedy="It was removed from the cache. Run the same command again.")
    except WeightsError as error:
        if isinstance(error.__cause__, OSError):  # it could not be read, which says nothing of what is in it
            raise WeightsError(error.what, remedy="Check that the file can be read.") from error
        hub.discard(path)
        raise


def _timm_pretrained(card: Card, tensors: dict[str, torch.Tensor]) -> nn.Module:
    """Let timm fit the tensors: it knows how to convert the many layouts of its checkpoints."""
    import timm

    # One from a config.json has its facts from there, one of timm's own from timm.
    cfg: dict[str, Any] = {"state_dict": tensors, "custom_load": False}
    if card.arguments:
        size = (card.preprocess.channels, *card.preprocess.size)
        cfg |= {
            "input_size": size,
            "num_classes": card.num_classes,
            "fixed_input_size": "img_size" in dict(card.arguments),
        }
    try:
        with _quiet("timm"):
            module: nn.Module = timm.create_model(
                card.architecture,
                pretrained=True,
                pretrained_cfg=cfg if card.arguments else None,
                pretrained_cfg_overlay=None if card.arguments else cfg,
                **dict(card.arguments),
            )
    except (RuntimeError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise _misfit(card, str(error)) from error
    module.pretrained_cfg.pop("state_dict", None)  # type: ignore[union-attr, operator]  # timm keeps a second copy
    return module


def _fitting(card: Card, tensors: dict[str, torch.Tensor]) -> nn.Module:
    """The architecture with as many classes as the tensors have, filled with them."""
    module = architecture(card)
    heads = [tensors.get(f"{name}.weight") for name in final_layer_names(module)]
    classes = {len(head) for head in heads if head is not None}
    if len(classes) == 1:
        (found,) = classes
        own = {len(module.get_submodule(name).weight) for name in final_layer_names(module)}  # type: ignore[arg-type]
        if own != {found}:
            set_zero_head(module, card, found)
    return _filled(module, tensors, card)


def _filled(module: nn.Module, tensors: Mapping[str, torch.Tensor], card: Card) -> nn.Module:
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise _misfit(card, str(error)) from error
    return module


def _misfit(card: Card, reason: str) -> WeightsError:
    first = " ".join(reason.split())[:300]
    return WeightsError(
        f"The weights at {card.origin!r} do not fit the architecture {card.architecture!r}: {first}",
        remedy="Name the architecture that they were saved from: ARCHITECTURE@FILE",
    )


def _converted(tensors: dict[str, torch.Tensor], architecture: str) -> dict[str, torch.Tensor]:
    """Leave out auxiliary heads, and mend the names in torchvision's DenseNet files (``norm.1`` is ``norm1`` today)."""
    if not architecture.startswith("torchvision/"):
        return tensors
    for name in list(tensors):
        if re.match(r"aux[12]\.|AuxLogits\.", name):
            del tensors[name]
        elif "densenet" in architecture and (old := re.match(r"(.*denselayer\d+\.(?:norm|conv))\.(\d\..*)", name)):
            tensors[old[1] + old[2]] = tensors.pop(name)
    return tensors


def with_head(
    card: Card, weight: torch.Tensor, bias: torch.Tensor, *, offline: bool = False
) -> dict[str, torch.Tensor]:
    """The state dict of the pretrained model with another last layer.

    Args:
        card: The pretrained model.
        weight: ``(classes, d)``, where ``d`` is the width of the model's features.
        bias: ``(classes,)``.
        offline: Make no network call.

    Raises:
        HubError, WeightsError, DependencyError: As :func:`load`.
    """
    if card.source == "bundled":  # without building the model: the last two tensors are its head
        state = BUILT_IN[card.name].state_dict()
        *_, weight_name, bias_name = state
        return {**state, weight_name: weight, bias_name: bias}
    module = load(card, offline=offline)
    set_head(module, weight, bias)
    return module.state_dict()


@contextmanager
def _quiet(logger: str) -> Iterator[None]:
    """Silence warnings that a library logs about what is expected here."""
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
