"""The figures of one half of the fault benchmark as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.faults.scoring import VERDICTS, Scored, confusion
from diagnose.comparison import proportion

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Figure = tuple[str, tuple[float, int]]
_DARK = 0.6  # share of a row from which on a number is written in white


def plot(scored: Sequence[Scored], figures: Sequence[Figure], path: Path, title: str) -> None:
    """The confusion matrix, and beside it shares with their 95 % intervals.

    Args:
        scored: Cases of one half.
        figures: Name, and share with the number of cases that it is of; those of no case are left out.
        path: Where to.
        title: What half.
    """
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(13, 5), layout="constrained", gridspec_kw={"width_ratios": (1, 1.1)}
    )
    _matrix(left, scored)
    _shares(right, [(name, share) for name, share in figures if share[1]])
    figure.suptitle(f"{title}: {len(scored)} cases")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _matrix(axes: Axes, scored: Sequence[Scored]) -> None:
    counts = {right: row for right, row in confusion(scored).items() if any(row.values())}
    values = np.array([[row[given] for given in VERDICTS] for row in counts.values()])
    shares = values / np.maximum(1, values.sum(axis=1, keepdims=True))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(values):
        if count:
            colour = "white" if shares[row, column] > _DARK else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour)
    axes.set_xticks(range(len(VERDICTS)), VERDICTS, rotation=25, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(counts)), [f"{name} ({sum(row.values())})" for name, row in counts.items()])
    axes.set(xlabel="said", ylabel="right, and cases", title="verdicts, shaded by row")


def _shares(axes: Axes, figures: Sequence[Figure]) -> None:
    for place, (_, (share, n)) in enumerate(figures):
        low, high = proportion(round(share * n), n).interval
        axes.plot([100 * low, 100 * high], [place, place], color="tab:blue", linewidth=5, alpha=0.35)
        axes.plot(100 * share, place, "o", color="tab:blue")
        axes.annotate(f"{100 * share:.0f} %", (100 * share, place), (0, 6), textcoords="offset points", ha="center")
    axes.set_yticks(range(len(figures)), [f"{name} ({n})" for name, (_, n) in figures])
    axes.set(xlim=(-6, 106), ylim=(len(figures) - 0.5, -0.7), xlabel="% of cases, with 95 % interval")
    axes.grid(axis="x", alpha=0.3)
