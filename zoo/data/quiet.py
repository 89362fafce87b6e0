"""Keeps Pillow's warnings about damaged files from the person's screen, in many threads at once."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_inside = 0


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Warnings that Pillow raises are not shown while any thread is inside.

    ``warnings.catch_warnings`` swaps a process-wide list and is not safe in threads before Python 3.14; here the first
    thread in adds one filter and the last one out takes it away.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _inside  # noqa: PLW0603 - the filters are process-wide, so is the count
    with _lock:
        _inside += 1
        if _inside == 1:
            warnings.filterwarnings("ignore", module=r"(PIL\.|zoo\.data\.decode$)")
            _added.append(warnings.filters[0])


def _leave() -> None:
    global _inside  # noqa: PLW0603
    with _lock:
        _inside -= 1
        if _inside == 0:
            added = _added.pop()
            # Another thread may have swapped the list in between; then the filter is gone with it.
            if added in warnings.filters:
                warnings.filters.remove(added)  # type: ignore[attr-defined]


_added: list[object] = []
