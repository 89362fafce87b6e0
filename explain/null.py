"""What a heatmap must beat to be believed: heatmaps that share its blur and its love of the centre, but know nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from explain.faithfulness import Deletion, FloatArray, Gain, Meter
from explain.isolation import seeded


class Badge(StrEnum):
    """What a person may believe of one heatmap."""

    FAITHFUL = "faithful"
    WEAK = "weak"
    NO_BETTER_THAN_NULL = "no better than null"
    BLANK = "blank"


#: Up to this p-value a map is faithful: the 95 % level. At most one null map in twenty gets there.
FAITHFUL_P = 0.05
#: Up to this one it is weak: one null map in six.
WEAK_P = 1 / 6
#: A map that one of 39 null maps beats has p = 2/40, ``FAITHFUL_P`` exactly. With fewer than 19 none could reach it. As
#: many images make each null map one of its own.
NULL_MAPS = 39


def centre_gaussian(rows: int, columns: int) -> Tensor:
    """A blob in the middle, standard deviation a quarter of each side: what a photographer's habit alone would give."""
    y = torch.linspace(-1, 1, rows)[:, None] / 0.5
    x = torch.linspace(-1, 1, columns)[None] / 0.5
    return torch.exp(-(y**2 + x**2) / 2)


@dataclass(frozen=True, kw_only=True)
class Null:
    """What maps that know nothing of their image score.

    Attributes:
        shares: Gains of null maps as shares of their spans, after every second step only, ``(m,)``, in [-1, 1]. They
            are compared with what a heatmap reaches in just those steps, so that its rank is fair.
    """

    shares: FloatArray

    @property
    def mean(self) -> float:
        """Mean share of a null map."""
        return float(self.shares.mean())

    @property
    def deviation(self) -> float:
        """Standard deviation of a null map's share."""
        return float(max(self.shares.std(ddof=1), 1e-9))

    def z(self, gain: Gain) -> FloatArray:
        """How many standard deviations above null maps each map is, ``(n,)``; 0 for a blank map."""
        return np.where(gain.blank, 0.0, (gain.half - self.mean) / self.deviation)

    def p(self, gain: Gain) -> FloatArray:
        """How likely a null map does as well as each map, ``(n,)``; 1 for a blank map.

        The map's rank among the null maps, itself among them: right whatever their distribution. A threshold on ``z``
        is not: where one patch decides, null maps spread evenly over [-1, 1], and the best map there is has z = 1.7.
        """
        as_good = (self.shares[None] >= gain.half[:, None]).sum(1)
        return np.where(gain.blank, 1.0, (1 + as_good) / (1 + len(self.shares)))


def matched_null(meter: Meter, maps: Tensor, how: Deletion, *, seed: int = 0) -> Null:
    """Score images with heatmaps of *other* images, and with a centred Gaussian.

    Such maps share the blur and the centre bias of the method and the data, but know nothing of the image. A third are
    Gaussians. Where the images are too few, other images' maps shifted by random distances make up the number.

    The null maps are spread over all images, one on each of 39: gains on one image are alike (on photographs of clothing
    three fifths of their variance lie between images), and a rank among the gains of few images would promise more than
    it holds. On 16 images 5.5 % of null maps would be called faithful, not 5 %.

    Args:
        meter: Holds the calibration images, at least two.
        maps: Heatmaps of the first of them, at least two, by the method in question.
        how: Patches and steps of the maps that are to be judged; the null takes every second step.
        seed: Of the pairing.
    """
    images, count = meter.images, len(maps)
    shift = np.random.default_rng(seed).permutation(np.arange(1, count))[:2]
    kinds = [maps.roll(int(k), 0) for k in shift] + [centre_gaussian(*maps.shape[1:]).expand_as(maps)]
    generator = seeded(seed, torch.device("cpu"))
    while len(kinds) * images < NULL_MAPS:
        kinds.append(_displaced(maps.roll(1, 0), generator))
    # As many of each kind, spread over the images, and no pair twice.
    pairs = [(k % images, (k % images + k // images) % len(kinds)) for k in range(NULL_MAPS)]
    nulls = torch.stack([kinds[kind][image % count] for image, kind in pairs])
    return Null(shares=meter.gain(nulls, how.halved, torch.tensor([image for image, _ in pairs])).share)


def _displaced(maps: Tensor, generator: torch.Generator) -> Tensor:
    """Maps shifted by a quarter to three quarters of each side; what leaves on one side comes back on the other."""
    distances = [
        int(torch.randint(size // 4, max(size // 4 + 1, 3 * size // 4), (1,), generator=generator))
        for size in maps.shape[1:]
    ]
    return maps.roll(distances, (1, 2))


def badges(gain: Gain, null: Null) -> list[Badge]:
    """The word for each map."""
    found = []
    for p, blank in zip(null.p(gain), gain.blank, strict=True):
        if blank:
            found.append(Badge.BLANK)
        elif p <= FAITHFUL_P:
            found.append(Badge.FAITHFUL)
        else:
            found.append(Badge.WEAK if p <= WEAK_P else Badge.NO_BETTER_THAN_NULL)
    return found
