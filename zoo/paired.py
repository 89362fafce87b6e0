"""Two classifiers on the same images: how far apart they are, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]

_Z = 1.959964
#: Share of truly equal pairs that may be called different.
LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first less the second.

    Attributes:
        count: Images that both scored.
        only_first: Images that only the first gets right.
        only_second: Images that only the second gets right.
        accuracy: Accuracy of the first less that of the second on them, -1 to 1.
        interval: 95 % interval of that difference.
        p_value: Of the exact McNemar test; adjusted where several pairs are looked at together.
    """

    count: int
    only_first: int
    only_second: int
    accuracy: float
    interval: tuple[float, float]
    p_value: float

    @property
    def noise(self) -> bool:
        """Whether chance alone explains the difference: by the test, or by an interval that holds 0."""
        return self.p_value >= LEVEL or self.interval[0] <= 0 <= self.interval[1]


def difference(first: BoolArray, second: BoolArray) -> Difference:
    """Compare what two classifiers get right on the same images.

    Only the images that one of them alone gets right tell them apart (McNemar 1947, doi:10.1007/BF02295996; the exact
    binomial form). The interval is Wald's after adding half an image to each cell of the table (Agresti and Min 2005,
    doi:10.1002/sim.1781), which keeps its promise with few images too.

    Args:
        first: Whether the first is right on each image, ``(n,)``.
        second: Likewise for the second.
    """
    from scipy.special import bdtr  # 0.1 s that a comparison of different files need not pay

    count = len(first)
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    p_value = min(1.0, 2 * float(bdtr(min(b, c), b + c, 0.5))) if b + c else 1.0
    n = count + 2
    centre = (b - c) / n
    half = _Z * float(np.sqrt(b + c + 1 - (b - c) ** 2 / n)) / n
    return Difference(
        count=count,
        only_first=b,
        only_second=c,
        accuracy=(b - c) / count if count else 0.0,
        interval=(max(-1.0, centre - half), min(1.0, centre + half)),
        p_value=p_value,
    )


def together(differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """The same with p-values adjusted for being looked at together (Holm 1979), in the same order."""
    order = sorted(range(len(differences)), key=lambda i: differences[i].p_value)
    adjusted: dict[int, float] = {}
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * differences[i].p_value))
        adjusted[i] = largest
    return tuple(replace(one, p_value=adjusted[i]) for i, one in enumerate(differences))
