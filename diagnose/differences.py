"""In what measured ways one group of pictures differs from another, in words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from diagnose.context import Statistics
from zoo.neighbours import FloatArray

BoolArray = npt.NDArray[np.bool_]

#: What a low and a high value of a statistic make of pictures.
_WORDS = {
    "sharpness": ("blurrier", "sharper"),
    "brightness": ("darker", "brighter"),
    "contrast": ("of less contrast", "of more contrast"),
    "colourfulness": ("less colourful", "more colourful"),
    "width": ("narrower", "wider"),
    "height": ("less high", "higher"),
    "quality": ("more compressed", "less compressed"),
}
_LEAST = 0.75  # area under the curve from which on a difference is one to speak of


def area(scores: FloatArray, positive: BoolArray) -> float:
    """Area under the ROC curve, 0 to 1: how often a positive's score exceeds a negative's, ties counting half.

    Args:
        scores: ``(n,)``.
        positive: ``(n,)``, some true and some not; 0.5 where they are not.
    """
    from scipy.stats import rankdata  # slow to import, and a list of checks need not

    count, rest = int(positive.sum()), int((~positive).sum())
    if not count * rest:
        return 0.5
    rank = rankdata(scores)[positive].sum()
    return float((rank - count * (count + 1) / 2) / (count * rest))


def differences(statistics: Statistics, group: BoolArray, *, most: int = 3) -> list[str]:
    """How the pictures of a group differ from the others, the plainest first: "blurrier", "less colourful".

    Args:
        statistics: Records of ``zoo.statistics.STATISTICS``, ``(n,)``.
        group: Which are in the group, ``(n,)``.
        most: How many ways at most.
    """
    found = []
    for name, words in _WORDS.items():
        known = statistics["quality"] > 0 if name == "quality" else np.ones(len(group), dtype=bool)
        auc = area(statistics[name][known].astype(np.float32), group[known])
        if abs(auc - 0.5) >= _LEAST - 0.5:
            found.append((abs(auc - 0.5), words[int(auc > 0.5)]))
    return [word for _, word in sorted(found, key=lambda pair: -pair[0])[:most]]
