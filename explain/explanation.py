"""What an explanation is. Data only: nothing here computes or prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from explain.boxes import Located
from explain.choice import Choice
from explain.claims import Shortcut
from explain.clusters import MapCluster
from explain.null import Badge
from explain.pictures import Picture
from zoo.data.dataset import Skipped


@dataclass(frozen=True, kw_only=True)
class Score:
    """How much one map may be believed.

    Attributes:
        gain: Symmetric relevance gain, in units of the score.
        share: The gain as a share of the range of scores met on the way, in [-1, 1].
        z: Standard deviations above maps that know nothing of the image.
        p: How likely such a map does as well.
        badge: The word for it.
    """

    gain: float
    share: float
    z: float
    p: float
    badge: Badge


@dataclass(frozen=True, kw_only=True)
class Related:
    """One training image that belongs with an explanation.

    Attributes:
        name: Its path in the data.
        label: Its class.
        value: Cosine similarity, or influence relative to the strongest one of this image.
        pixels: A thumbnail, ``(rows, columns, channels)``, uint8.
    """

    name: str
    label: int
    value: float
    pixels: npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """One image, explained.

    Attributes:
        picture: The image as the model saw it, with its name and true class.
        predicted: The model's class.
        probability: Of that class.
        target: What the map explains, in words.
        map: Signed relevance ``(rows, columns)``, float32, raw.
        score: How much it may be believed.
        method: That made the map; the fallback's name where one was used.
        layer: Where the method read.
        located: The map against the object, where a mask or boxes are known.
        neighbours: Training images that look most alike to the model.
        influential: Training images that speak most for the prediction.
    """

    picture: Picture
    predicted: int
    probability: float
    target: str
    map: npt.NDArray[np.float32]
    score: Score
    method: str
    layer: str
    located: Located | None = None
    neighbours: tuple[Related, ...] = ()
    influential: tuple[Related, ...] = ()

    @property
    def correct(self) -> bool | None:
        """Whether the prediction is right; ``None`` where the true class is not known."""
        return None if self.picture.label is None else self.predicted == self.picture.label


@dataclass(frozen=True, kw_only=True)
class Explanations(Sequence[Explanation]):
    """The explanations of one call, in the order of the images.

    Attributes:
        items: One for each image that could be used.
        model: Name of the model.
        classes: Class names in the order of the model's outputs.
        choice: The method, with its evidence and its sanity gate.
        fallback: Why the method asked for was not used; empty where it was.
        shortcuts: Places that may decide a class, confirmed ones first.
        clusters: Groups of maps that look alike within a class.
        skipped: Files that could not be used, and why.
        seed: Of everything random.
    """

    items: tuple[Explanation, ...]
    model: str
    classes: tuple[str, ...]
    choice: Choice
    fallback: str = ""
    shortcuts: tuple[Shortcut, ...] = ()
    clusters: tuple[MapCluster, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    seed: int = 0

    @overload
    def __getitem__(self, index: int) -> Explanation: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Explanation]: ...
    def __getitem__(self, index: int | slice) -> Explanation | Sequence[Explanation]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Explanation]:
        return iter(self.items)

    def class_name(self, index: int) -> str:
        """The name of a class, or its number."""
        return self.classes[index] if index < len(self.classes) else f"class {index}"
