"""What a training needs to go on as if it had never stopped.

``state/training.pt`` is replaced in one step and holds everything that must agree: position, weights, average,
optimizer, history. It names the kept candidates, which are written before it and deleted after. So whatever moment the
process dies, the folder holds one consistent state.
"""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from zoo.errors import RunError
from zoo.files import refusal, replacing, write_tensors


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """One line of ``metrics.csv``."""

    epoch: int
    step: int
    learning_rate: float
    train_loss: float
    val_loss: float
    val_accuracy: float
    seconds: float


@dataclass(kw_only=True)
class Progress:
    """Where a training is.

    Attributes:
        epoch: Number of the current epoch, from 0.
        batch: Batches of it that are done.
        step: Optimizer steps so far.
        seconds: Time trained so far, over all sessions.
        loss_sum: Sum of the batches' losses in this epoch.
        stopped: Whether early stopping or the time limit ended it.
        history: One row a finished epoch.
        candidates: Epochs whose weights are kept, best first.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    stopped: bool = False
    history: list[EpochRow] = field(default_factory=list)
    candidates: list[int] = field(default_factory=list)


class Checkpoints:
    """The ``state`` folder of a run.

    Args:
        folder: Where it is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "training.pt"

    def exists(self) -> bool:
        """Whether there is a state to go on from."""
        return self._path.exists()

    def save(self, progress: Progress, tensors: dict[str, Any]) -> None:
        """Replace the state. ``tensors`` are state dicts by name."""
        with replacing(self._path) as temporary:
            try:
                with temporary.open("wb") as file:
                    torch.save({"progress": asdict(progress), **tensors}, file)
            except RuntimeError as error:
                raise refusal(error) from error
        kept = {self._candidate(epoch) for epoch in progress.candidates}
        for path in self._folder.glob("candidate-*.safetensors"):
            if path not in kept:
                path.unlink(missing_ok=True)

    def load(self) -> tuple[Progress, dict[str, Any]]:
        """The last state that was saved.

        Raises:
            RunError: It is missing or damaged.
        """
        try:
            state = torch.load(self._path, map_location="cpu", weights_only=True)
            values = state.pop("progress")
            values["history"] = [EpochRow(**row) for row in values["history"]]
            return Progress(**values), state
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
            raise RunError(
                f"{self._path} is damaged or missing ({type(error).__name__}).",
                remedy="The weights in weights/ may still be good: zoo evaluate RUN. Else make the run again.",
            ) from error

    def keep(self, epoch: int, tensors: dict[str, torch.Tensor]) -> None:
        """Keep the weights after an epoch as a candidate for the end."""
        write_tensors(self._candidate(epoch), tensors)

    def candidate(self, epoch: int) -> dict[str, torch.Tensor]:
        """The weights that ``keep`` wrote."""
        return load_file(self._candidate(epoch))

    def _candidate(self, epoch: int) -> Path:
        return self._folder / f"candidate-{epoch:04d}.safetensors"
