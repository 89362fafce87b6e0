"""Name -> object, filled by decorators, one module an entry."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from zoo.errors import OptionError

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A mapping that fills itself from the modules of one package, when it is used.

    A name is looked for first in the module of that name, so that one entry can be had without importing the others.

    Args:
        kind: What the entries are, in the singular; used in error messages ("recipe").
        package: Import path of the package whose modules register the entries ("zoo.recipes").
    """

    def __init__(self, kind: str, *, package: str) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, T] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that enters an object under ``name``. A name may be taken once only."""

        def enter(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"The {self.kind} {name!r} is registered twice.")
            self._entries[name] = entry
            return entry

        return enter

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")

    def _import_namesake(self, name: str) -> None:
        module = f"{self._package}.{name.replace('-', '_')}"
        if name.replace("-", "_").isidentifier() and importlib.util.find_spec(module):
            importlib.import_module(module)

    def __getitem__(self, name: str) -> T:
        self._import_namesake(name)
        if name not in self._entries:
            self._discover()
        try:
            return self._entries[name]
        except KeyError:
            raise OptionError(f"There is no {self.kind} {name!r}.", remedy=nearest(name, self._entries)) from None

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        self._discover()
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        self._discover()
        return len(self._entries)


def nearest(name: str, names: Mapping[str, object] | list[str]) -> str:
    """A sentence that suggests the names most like ``name``, or lists some where none is alike."""
    pool = sorted(set(names))
    alike = difflib.get_close_matches(name, pool, n=3, cutoff=0.6)
    if alike:
        return f"Did you mean {' or '.join(repr(a) for a in alike)}?"
    return f"Known: {', '.join(pool[:12])}{', ...' if len(pool) > 12 else ''}."
