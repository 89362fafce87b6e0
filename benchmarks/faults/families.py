"""What a planted fault is, and the registry of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmarks.faults.worlds import World

Half = Literal["dev", "report"]
Plant = Callable[[World, float, np.random.Generator], World]


@dataclass(frozen=True, kw_only=True)
class DataFault:
    """A way to spoil a data set.

    Attributes:
        name: Of the family.
        causes: Names that call it rightly; the first is the canonical one.
        severities: From mild to harsh.
        plant: The world with the fault of a severity in it.
    """

    name: str
    causes: tuple[str, ...]
    severities: tuple[float, ...]
    plant: Plant


@dataclass(frozen=True, kw_only=True)
class CodeFault:
    """A way to break training code: edits of the text of a healthy file.

    Attributes:
        edits: What is replaced by what, for each severity.
        measured: Whether the cost shows in the accuracy; a wrong score, a crash and the like always count.
    """

    name: str
    causes: tuple[str, ...]
    edits: tuple[tuple[tuple[str, str], ...], ...]
    measured: bool = True


def data_fault(name: str, causes: str, severities: Sequence[float]) -> Callable[[Plant], DataFault]:
    """Decorates the function that plants it."""
    return lambda plant: DataFault(name=name, causes=tuple(causes.split()), severities=tuple(severities), plant=plant)
