"""Choices of ``method="auto"`` that were made before: what it was measured on being the same, so is the choice.

Kept in ``$ZOO_CACHE/explanations.json``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, astuple
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from explain.choice import Choice
from explain.null import Null
from explain.race import Calibration, Trial
from explain.sanity import Answer, Gate
from zoo import cache
from zoo.run import version

_FORMAT = 4  # of what ``choose`` measures and of the file; a change there makes every choice anew
_KEPT = 64  # choices, the latest made
_NOTE = "explanations.json"


def remembered(model: nn.Module, calibration: Calibration, name: str, make: Callable[[], Choice]) -> Choice:
    """What ``make`` gives for this model and these calibration images, from the cache where it was made before.

    Args:
        model: The classifier; its weights are read.
        calibration: What the choice is measured on.
        name: The model's, for ``zoo doctor``.
        make: Measures.
    """
    key = _key(model, calibration)
    known = _read()
    if key in known:
        return known[key][1]
    choice = make()
    _write({**known, key: (name, choice)})
    return choice


def describe() -> tuple[tuple[str, Choice], ...]:
    """The choices that are remembered, each beside its model's name, the latest last. For ``zoo doctor``."""
    return tuple(_read().values())


def _key(model: nn.Module, calibration: Calibration) -> str:
    facts = (_FORMAT, torch.__version__, version("zoovet"), calibration.seed, astuple(calibration.how))
    digest = hashlib.sha256(repr((facts, calibration.structure)).encode())
    tensors = [*model.state_dict().values(), calibration.inputs, calibration.weights]
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()[:32]


def _bytes(tensor: Tensor) -> memoryview:
    # As bytes first: numpy knows no bfloat16.
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data


def _read() -> dict[str, tuple[str, Choice]]:
    def understand(content: Any) -> dict[str, tuple[str, Choice]]:
        return {key: (str(entry["model"]), _choice(entry["choice"])) for key, entry in content.items()}

    return cache.recall(_NOTE, understand) or {}


def _write(choices: dict[str, tuple[str, Choice]]) -> None:
    latest = list(choices.items())[-_KEPT:]
    content = {key: {"model": name, "choice": asdict(choice)} for key, (name, choice) in latest}
    cache.remember(_NOTE, content, plain=_plain)


def _plain(value: Any) -> Any:
    """Arrays as lists, numpy's numbers as Python's."""
    return np.asarray(value).tolist()


def _choice(entry: dict[str, Any]) -> Choice:
    gate = entry["gate"]
    return Choice(
        method=entry["method"],
        trials=tuple(Trial(**trial) for trial in entry["trials"]),
        null=Null(shares=np.array(entry["null"]["shares"], dtype=np.float64)),
        gate=Gate(
            method=gate["method"],
            answers=tuple(Answer(**answer) for answer in gate["answers"]),
            sample_size=gate["sample_size"],
        ),
        images=entry["images"],
    )
