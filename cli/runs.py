"""How a run is shown, in words and as JSON."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from typing import Any

from zoo.errors import RunError
from zoo.job import read_rows
from zoo.metrics import Scores
from zoo.run import Run


def scores_of(run: Run) -> dict[str, Scores]:
    """Figures by split, the test images first."""
    return {s: run.predictions(s).scores() for s in ("test", "val") if (run.path / f"predictions-{s}.csv").exists()}


def check_scored(run: Run) -> None:
    """Raise where there is nothing to show yet.

    Raises:
        RunError: The run has no predictions.
    """
    if not scores_of(run):
        raise RunError(f"{run.path} has scored nothing yet.", remedy=f"Finish it: zoo resume {run.path}")


def run_as_json(run: Run) -> dict[str, Any]:
    """A run's figures and where its files are."""
    return {
        "run": str(run.path),
        "model": run.config.model,
        "recipe": run.config.settings.recipe,
        "finished": run.finished,
        "classes": list(run.classes),
        "scores": {split: asdict(figures) for split, figures in scores_of(run).items()},
        "candidates": [
            {"name": r.name, "epoch": r.epoch, "val_accuracy": _finite(r.val_accuracy), "shipped": r.shipped}
            for r in read_rows(run.path)
        ],
        "weights": str(run.weights),
        "report": str(run.path / "report.html"),
    }


def print_run(run: Run) -> None:
    """The figures on stdout, and the next commands."""
    for split, figures in scores_of(run).items():
        low, high = figures.interval
        interval = f"95 % interval {low:.1%} to {high:.1%}, {figures.count} images"
        sys.stdout.write(f"{split:5} accuracy {figures.accuracy:.1%}  ({interval})\n")
    sys.stdout.write(f"report   {run.path / 'report.html'}\nweights  {run.weights}\n")
    named = shlex.quote(str(run.path))
    sys.stdout.write(f"next     zoo predict {named} IMAGE   zoo diagnose {named}   zoo explain {named} IMAGE\n")


def _finite(value: float) -> float | None:
    return value if value == value else None  # noqa: PLR0124 - NaN is not JSON
