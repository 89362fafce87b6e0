"""Pictures that show little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from diagnose.check import DATA_CHECKS, Check, passed
from diagnose.comparison import matched_cost
from diagnose.context import Context, Statistics
from diagnose.findings import Evidence, Example, Finding, Outcome, Side
from diagnose.verdict import judge

BoolArray = npt.NDArray[np.bool_]

_NEARLY_ALL, _MORE = (
    0.9,
    0.3,
)  # share of the flagged pictures that lie in one part, and how much more that is than of all


@DATA_CHECKS.register("image-quality")
@dataclass(frozen=True, kw_only=True)
class ImageQuality(Check[Context]):
    """Pictures that are blank, tiny, stretched, too dark, too bright, blurred, or grey among coloured ones.

    What it does: flags a picture that lies beyond a fixed limit and is also an outlier among the person's own pictures.
    The cost is the accuracy that the flagged pictures fall short of the other pictures of their classes, weighted by
    their share.

    Why it is bad: what cannot be seen cannot be learnt; in the held-out part it lowers the accuracy that can be reached.

    Known problems: night scenes, X-rays and scans are dark, bright or grey as a whole: that is why the limits alone flag
    nothing. A blur of the background on purpose is taken for blur by every measure on the whole picture (CleanVision
    issue 120). Grey pictures are reported, but count as a fault only where they cost accuracy.

    Remedy: look at the examples; leave out what shows nothing; take pictures like those the model will meet.

    References: CleanVision (cleanlab), https://github.com/cleanlab/cleanvision; variance of the Laplacian: Pech-Pacheco
    et al. 2000, doi:10.1109/ICPR.2000.903548.
    """

    name: ClassVar[str] = "image-quality"
    side: ClassVar[Side] = Side.DATA
    causes: ClassVar[tuple[str, ...]] = ("image-quality",)

    blank_contrast: float = 0.01  # standard deviation of luminance
    smallest_side: int = 16  # pixels
    largest_aspect: float = 4.0
    darkest: float = 0.2  # 99th percentile of luminance
    brightest: float = 0.85  # 5th percentile of luminance
    blurred: float = 0.15  # of the data's median sharpness
    grey: float = 0.01  # colourfulness; coloured data has a median four times as high
    deviations: float = 3.5  # from the data's median, in robust standard deviations
    noted_share: float = 0.005  # of the pictures: fewer are not worth a remark

    def run(self, context: Context) -> list[Finding]:
        """Flag, and weigh what the flagged pictures cost."""
        kinds = self.flags(context.statistics)
        flagged = np.any(list(kinds.values()), axis=0)
        share = float(flagged.mean())
        counts = {kind: int(found.sum()) for kind, found in kinds.items() if found.any()}
        evidence = Evidence(statistic="flagged", value=share, unit="share", sample_size=len(flagged))
        if share <= self.noted_share:
            return [
                passed(
                    self,
                    f"{int(flagged.sum())} pictures look blank, tiny, dark, bright or blurred.",
                    evidence=(evidence,),
                )
            ]
        held_out = context.held_out
        correct = context.correct(context.best)
        cost = matched_cost(correct[held_out], context.labels[held_out], flagged[held_out])
        outcome = judge(cost if flagged[held_out].sum() >= 5 else None)
        listed = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items(), key=lambda item: -item[1]))
        return [
            Finding(
                check=self.name,
                cause="image-quality",
                side=self.side,
                outcome=outcome,
                message=f"{int(flagged.sum())} of {len(flagged)} pictures show little: {listed}{_where(context, flagged)}.",
                remedy="Look at the examples; leave out what shows nothing: zoo diagnose DATA --fix OUT",
                evidence=(evidence,),
                examples=_examples(context, kinds),
                points=cost if outcome is Outcome.FAIL else None,
            )
        ]

    def flags(self, statistics: Statistics) -> dict[str, BoolArray]:
        """Which pictures are of which kind, each ``(n,)``."""
        short = np.minimum(statistics["width"], statistics["height"])
        aspect = np.maximum(statistics["width"], statistics["height"]) / np.maximum(short, 1)
        sharpness = np.log(statistics["sharpness"] + 1e-9)
        colour = statistics["colourfulness"]
        coloured = np.median(colour) > 4 * self.grey
        blank = statistics["contrast"] < self.blank_contrast
        return {
            "blank": blank,
            "tiny": (short < self.smallest_side) & self._low(np.log(short + 1.0)),
            "stretched": (aspect > self.largest_aspect) & self._low(-np.log(aspect)),
            "dark": ~blank & (statistics["dark"] < self.darkest) & self._low(statistics["dark"]),
            "bright": ~blank & (statistics["bright"] > self.brightest) & self._low(-statistics["bright"]),
            "blurred": ~blank & (sharpness < np.median(sharpness) + np.log(self.blurred)) & self._low(sharpness),
            "grey": ~blank & (colour < self.grey) & bool(coloured),
        }

    def _low(self, values: npt.NDArray[np.floating]) -> BoolArray:
        """Which values lie far below the middle of all, ``(n,)``."""
        middle = np.median(values)
        spread = 1.4826 * np.median(np.abs(values - middle))
        low: BoolArray = values < middle - self.deviations * max(float(spread), 1e-6)
        return low


def _where(context: Context, flagged: BoolArray) -> str:
    """Where nearly all of them lie, if that is a part of the pictures: that tells where they come from."""
    parts = {f"labelled {name}": context.labels == number for number, name in enumerate(context.dataset.classes)}
    if context.splits_given:
        parts |= {"held out": context.is_held_out, "to learn from": ~context.is_held_out}
    for name, part in parts.items():
        share = part[flagged].mean()
        if share >= _NEARLY_ALL and share - part.mean() > _MORE:
            return f", {share:.0%} of them {name}" if share < 1 else f", all of them {name}"
    return ""


def _examples(context: Context, kinds: dict[str, BoolArray]) -> tuple[Example, ...]:
    """Up to five pictures of each kind."""
    return tuple(
        Example(path=context.paths[position], note=kind)
        for kind, found in kinds.items()
        for position in np.flatnonzero(found)[:5]
    )
