"""The curves of one training, whatever wrote them down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One quantity over a training; empty where it was not logged.

    Attributes:
        at: When each value was logged, in the curves' unit, never falling.
        values: What was logged; infinities and NaN are kept, since they are a finding.
    """

    at: tuple[float, ...] = ()
    values: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def array(self) -> FloatArray:
        """The values, ``(n,)``."""
        return np.asarray(self.values, dtype=np.float64)

    def condensed(self, most: int = 60) -> Series:
        """At most so many points: the means of equal stretches. What is not finite stays so."""
        if len(self) <= most:
            return self
        parts = np.array_split(np.arange(len(self)), most)
        values = self.array
        return Series(
            at=tuple(self.at[int(part[-1])] for part in parts),
            values=tuple(float(values[part].mean()) for part in parts),
        )


@dataclass(frozen=True, kw_only=True)
class Curves:
    """What a log says. Losses in their own unit (nats where they are cross-entropies), accuracies as fractions.

    Attributes:
        unit: What ``at`` counts.
        source: Which kind of log it was, in words.
    """

    train_loss: Series = Series()
    validation_loss: Series = Series()
    train_accuracy: Series = Series()
    validation_accuracy: Series = Series()
    learning_rate: Series = Series()
    unit: Literal["epoch", "step", "row"] = "epoch"
    source: str = ""
