"""Shortcuts as data: what they are searched in, by which thresholds, and what is claimed of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from torch import Tensor

IntArray = npt.NDArray[np.int64]
#: The one place that is no place: the colour of plain backgrounds.
BACKGROUND = "background colour"


class Level(StrEnum):
    """How much is claimed."""

    SUSPECT = "suspect"  # seen in heatmaps or colours, not tested
    NOT_CONFIRMED = "not confirmed"  # tested; the interval reaches down to 0
    CONFIRMED = "confirmed"  # tested; effect minus control lies above 0


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A paired experiment, in units of the class's probability.

    Attributes:
        effect: Mean change by the intervention.
        control: Mean change by its control.
        interval: Of ``effect - control``: 95 % for all tests of a run together (Bonferroni).
        sample_size: Image pairs.
    """

    effect: float
    control: float
    interval: tuple[float, float]
    sample_size: int

    @property
    def difference(self) -> float:
        """Effect minus control."""
        return self.effect - self.control


@dataclass(frozen=True, kw_only=True)
class Shortcut:
    """One place that may decide one class.

    Attributes:
        label: Index of the class.
        region: Name of the place.
        level: What is claimed.
        relevance: Share of the class's positive relevance that lies in the place.
        area: Share of the picture that the place takes.
        erased: Loss of probability where the place is redrawn, against the control.
        pasted: Gain of probability in other classes' images that receive the place, against the control.
        examples: Positions of images that show it, most telling first.
    """

    label: int
    region: str
    level: Level
    relevance: float
    area: float
    erased: Effect | None = None
    pasted: Effect | None = None
    examples: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ShortcutSettings:
    """Thresholds of the search.

    Attributes:
        most_suspects: Places tested for each class, the most suspect first; besides the rim and the background's
            colour.
        most_images: Image pairs for each test.
        fewest_images: With fewer images of a class, or of other classes, nothing is tested.
        smallest_effect: A difference below this (probability) is never confirmed, however certain.
        density: Relevance share over area share from which a place is suspect.
    """

    most_suspects: int = 3
    most_images: int = 32
    fewest_images: int = 8
    smallest_effect: float = 0.02
    density: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the search works on.

    Attributes:
        inputs: Normalised images ``(n, channels, rows, columns)``.
        labels: Their true classes ``(n,)``.
        maps: Heatmaps for the true class ``(n, rows, columns)``, signed.
    """

    inputs: Tensor
    labels: IntArray
    maps: Tensor
