"""The checks as ``zoo checks`` shows them."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from dataclasses import Field, dataclass
from typing import Any

from diagnose.check import ALGORITHM_CHECKS, DATA_CHECKS, Check
from zoo.errors import OptionError
from zoo.registry import nearest


@dataclass(frozen=True, kw_only=True)
class Description:
    """One check in words.

    Attributes:
        name: Its name.
        side: ``data`` or ``algorithm``.
        cost: ``instant``, ``forward`` or ``train``.
        needs: Flags that provide what it needs.
        title: The first sentence of its documentation.
        causes: Names of the causes that it may report.
        thresholds: Name and value of each.
        documentation: What it does, why it is bad, known problems, remedy, references.
    """

    name: str
    side: str
    cost: str
    needs: str
    title: str
    causes: tuple[str, ...]
    thresholds: tuple[tuple[str, object], ...]
    documentation: str

    @property
    def text(self) -> str:
        """All of it for the terminal."""
        head = [f"{self.name} ({self.side}, {self.cost}; needs {self.needs})", f"causes: {', '.join(self.causes)}", ""]
        limits = ["", "Thresholds:", *(f"  {name} = {value}" for name, value in self.thresholds)]
        return "\n".join([*head, self.documentation, *(limits if self.thresholds else [])]) + "\n"


def all_checks() -> tuple[Description, ...]:
    """Every check, those of the data first, by name."""
    return tuple(_describe(check) for check in _classes())


def explain(name: str) -> Description:
    """One check, by its name or by a cause that it reports.

    Raises:
        OptionError: There is none; names the nearest.
    """
    known = all_checks()
    named = {entry.name: entry for entry in known}
    by_cause = {cause: entry for entry in known for cause in entry.causes}
    found = named.get(name) or by_cause.get(name)
    if found is None:
        raise OptionError(f"There is no check {name!r}.", remedy=nearest(name, [*named, *by_cause]))
    return found


def describe(entry: Description) -> dict[str, Any]:
    """The same as plain values."""
    return {**dataclasses.asdict(entry), "thresholds": dict(entry.thresholds)}


def _classes() -> Iterator[type[Check[Any]]]:
    for registry in (DATA_CHECKS, ALGORITHM_CHECKS):
        yield from registry.values()


def _describe(check: type[Check[Any]]) -> Description:
    documentation = inspect.cleandoc(check.__doc__ or "")
    limits: tuple[Field[Any], ...] = dataclasses.fields(check) if dataclasses.is_dataclass(check) else ()
    return Description(
        name=check.name,
        side=str(check.side),
        cost=check.cost,
        needs=", ".join(sorted(need.value for need in check.needs)),
        title=documentation.split("\n", 1)[0],
        causes=check.causes,
        thresholds=tuple((limit.name, limit.default) for limit in limits if limit.init),
        documentation=documentation,
    )
