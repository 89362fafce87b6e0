"""Time for experiments."""

from __future__ import annotations

import math
import time


class Budget:
    """Time that is left for experiments.

    Args:
        seconds: From now on; no limit where ``None``.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._end = math.inf if seconds is None else time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left; never under 0."""
        return max(0.0, self._end - time.monotonic())
