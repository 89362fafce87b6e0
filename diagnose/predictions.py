"""What the person's own model says of the images, whatever framework it was made with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from zoo.data.dataset import IntArray


@dataclass(frozen=True, kw_only=True)
class OwnPredictions:
    """The person's predictions, aligned with the samples of a data set.

    Attributes:
        predicted: Class number for each sample, ``(n,)``; -1 where the file says nothing of it.
        probabilities: ``(n, C)``, rows sum to 1, NaN where unknown; ``None`` where the file has no probabilities.
        stated: The label that the file itself gives, ``(n,)``; -1 where it gives none.
    """

    predicted: IntArray
    probabilities: npt.NDArray[np.float32] | None = None
    stated: IntArray | None = None

    @property
    def known(self) -> IntArray:
        """Positions of the samples that the file speaks of."""
        return np.flatnonzero(self.predicted >= 0)

    def select(self, keep: IntArray) -> OwnPredictions:
        """The predictions for some of the samples."""
        return replace(
            self,
            predicted=self.predicted[keep],
            probabilities=None if self.probabilities is None else self.probabilities[keep],
            stated=None if self.stated is None else self.stated[keep],
        )
