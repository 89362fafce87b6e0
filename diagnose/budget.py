"""A span of time as people write it."""

from __future__ import annotations

import re

from zoo.errors import OptionError

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def seconds(span: str) -> float:
    """``"90"``, ``"30s"``, ``"5m"``, ``"1.5h"`` in seconds.

    >>> seconds("5m")
    300.0

    Raises:
        OptionError: It is no span of time.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", span)
    if found is None:
        raise OptionError(f"--budget must be a span of time. Got {span!r} instead.", remedy="Write 30s, 5m or 1h.")
    return float(found[1]) * _UNITS[found[2]]
