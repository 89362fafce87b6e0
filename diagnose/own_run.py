"""A run folder of ours: the data, the predictions, the curves and the weights at once."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from diagnose.submission import Checkpoint, Submission
from zoo.data import Dataset
from zoo.data.names import printable
from zoo.errors import DataError
from zoo.run import Run


@dataclass(frozen=True, kw_only=True)
class OwnRun:
    """What a run hands over.

    Attributes:
        dataset: Its images, with the splits that it was trained and measured on.
        predictions: Files of predictions, one a split; none where the run is not finished.
        submission: Curves, weights, and the shortcuts of the latest explanation, as far as they are there.
    """

    dataset: Dataset
    predictions: tuple[Path, ...]
    submission: Submission

    def completing(self, submission: Submission) -> Submission:
        """What the person handed over, and the run's for what they did not."""
        mine = self.submission
        return replace(
            submission,
            log=submission.log or mine.log,
            checkpoint=submission.checkpoint or mine.checkpoint,
            shortcuts=submission.shortcuts or mine.shortcuts,
        )


def open_run(path: str | Path) -> OwnRun | None:
    """What is in a run folder; ``None`` where the path is none.

    Raises:
        RunError: The run is damaged, or made by a newer version.
        DataError: Its images are no longer where they were.
    """
    folder = Path(path).expanduser()
    if not ((folder / "config.yaml").is_file() and (folder / "data.json").is_file()):
        return None
    run = Run.open(folder)
    dataset = run.dataset()
    if not any(dataset.file(sample).exists() for sample in dataset.samples[:100]):
        raise DataError(
            f"The images of {printable(str(path))} are no longer in {printable(str(dataset.root))}.",
            remedy="Put them back, or diagnose the data where it is now: zoo diagnose DATA",
        )
    return OwnRun(
        dataset=replace(dataset, given_splits=all(sample.split is not None for sample in dataset.samples)),
        predictions=tuple(
            file for split in ("val", "test") if (file := run.path / f"predictions-{split}.csv").is_file()
        ),
        submission=Submission(log=_log(run), checkpoint=_checkpoint(run), shortcuts=_shortcuts(run.path)),
    )


def _log(run: Run) -> Path | None:
    """The curves, where anything was trained step by step."""
    file = run.path / "metrics.csv"
    return file if run.config.settings.recipe == "finetune" and file.is_file() else None


def _checkpoint(run: Run) -> Checkpoint | None:
    """The weights; images are prepared as the model's own description says, as in every run."""
    if not run.weights.is_file():
        return None
    return Checkpoint(path=run.weights, model=run.config.model, as_trained=True)


def _shortcuts(folder: Path) -> Path | None:
    """What the latest ``zoo explain`` left in the run folder."""
    numbered = [
        (int(match[1]), found)
        for found in folder.glob("explain-*/shortcuts.json")
        if (match := re.fullmatch(r"explain-(\d+)", found.parent.name))
    ]
    return max(numbered)[1] if numbered else None
