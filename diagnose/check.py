"""What a check is. A new check is one new file in ``diagnose/checks`` (data) or ``diagnose/probes`` (algorithm)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import Any, ClassVar, Generic, Literal, TypeVar

from diagnose.findings import Evidence, Finding, Outcome, Side
from zoo.registry import Registry

C_contra = TypeVar("C_contra", contravariant=True)
Cost = Literal["instant", "forward", "train"]


class Need(StrEnum):
    """What a check cannot do without; each value names the flag that provides it."""

    DATA = "DATA"
    SPLITS = "given splits"
    PREDICTIONS = "--predictions"
    LOG = "--log"
    CHECKPOINT = "--checkpoint"
    ALGORITHM = "--algorithm"
    COMMAND = "--command"


class Check(ABC, Generic[C_contra]):
    """A frozen dataclass of its thresholds, with one method.

    The class's docstring is what ``zoo checks NAME`` prints. It has the sections: what it does, why it is bad,
    known problems, remedy, references.

    Attributes:
        name: What ``zoo checks`` lists.
        side: The half its causes belong to.
        causes: Published names of the causes that it may report.
        needs: What must be at hand; where something is missing the causes are listed as not tested.
        cost: Instant (statistics and features at hand), forward (runs a model), train (fits something large).
    """

    name: ClassVar[str]
    side: ClassVar[Side]
    causes: ClassVar[tuple[str, ...]]
    needs: ClassVar[frozenset[Need]] = frozenset({Need.DATA})
    cost: ClassVar[Cost] = "instant"

    @abstractmethod
    def run(self, context: C_contra) -> list[Finding]:
        """Look, and say what was found: one finding for every cause that applies, also where nothing is wrong."""


def passed(check: Check[Any], message: str, *, cause: str = "", evidence: tuple[Evidence, ...] = ()) -> Finding:
    """A finding that nothing is wrong, under the check's first cause unless another is named."""
    name = cause or check.causes[0]
    return Finding(
        check=check.name, cause=name, side=check.side, outcome=Outcome.PASS, message=message, evidence=evidence
    )


def not_applicable(check: Check[Any], message: str, *, cause: str = "") -> Finding:
    """A finding that this data gives the check nothing to work on."""
    name = cause or check.causes[0]
    return Finding(check=check.name, cause=name, side=check.side, outcome=Outcome.NOT_APPLICABLE, message=message)


DATA_CHECKS: Registry[type[Check[Any]]] = Registry("check", package="diagnose.checks")
ALGORITHM_CHECKS: Registry[type[Check[Any]]] = Registry("check", package="diagnose.probes")
