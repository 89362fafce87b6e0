"""How long work tells how far it is."""

from __future__ import annotations

from typing import Protocol


class ProgressCallback(Protocol):
    """Called with the stage's name, how many items are done, and how many there are."""

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        """Report."""


def silent(_stage: str, _done: int, _total: int, /) -> None:
    """Tells nobody."""
