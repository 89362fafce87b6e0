"""The run folder: a contract. Whatever comes after a fine-tuning reads only this.

config.yaml   what was asked for and what was chosen        env.json    where it ran
data.json     every image: split, label; what was skipped   metrics.csv one row an epoch
weights/{best,last}.safetensors                             predictions-<split>.csv
state/        what `zoo resume` needs                       log.txt, plots/, report.html, README.md
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from zoo import claim
from zoo.card import Card
from zoo.data.dataset import Dataset, Sample, Skipped, Split
from zoo.errors import DataError, RunError, ZooError
from zoo.files import storage_error, sweep, write_json, write_text
from zoo.predictions import Predictions
from zoo.preprocess import Preprocess
from zoo.ranks import is_main
from zoo.run_config import RunConfig

if TYPE_CHECKING:
    from torch import nn


class Run:
    """A run folder, opened. Reading is lazy: opening costs one small file.

    Under ``torchrun`` every process may call everything; the main one alone writes.

    Args:
        path: The folder.
        config: What its ``config.yaml`` says.
    """

    def __init__(self, path: Path, config: RunConfig) -> None:
        self.path = path
        self.config = config

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, model={self.config.model!r}, classes={len(self.classes)})"

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open a run folder.

        Raises:
            RunError: There is none at ``path``, it is damaged, or it was made by a newer version.
        """
        folder = Path(path)
        try:
            text = (folder / "config.yaml").read_text(encoding="utf-8")
        except OSError:
            raise RunError(
                f"{folder} is no run folder: it has no readable config.yaml.",
                remedy="Name a folder that `zoo finetune` made, such as runs/latest.",
            ) from None
        try:
            return cls(folder.resolve(), RunConfig.from_yaml(text))
        except ZooError:
            raise
        except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(
                f"{folder / 'config.yaml'} is damaged ({type(error).__name__}: {str(error).partition(chr(10))[0]}).",
                remedy="Make the run again: zoo finetune MODEL DATA",
            ) from error

    @classmethod
    def create(cls, config: RunConfig, dataset: Dataset, *, out: Path | None) -> Run:
        """Make a new folder: ``out``, or the next free number under ``runs/``. No two runs ever share one.

        The folder appears complete, in one step.

        Raises:
            OptionError: ``out`` exists and is not empty.
            StorageError: The folder cannot be made.
        """
        with claim.draft(out) as draft:
            run = cls(draft.path, config)
            draft.path.joinpath("state").mkdir()
            write_json(draft.path / "env.json", _environment())
            run.write_dataset(dataset)
            run.write_config(config)
            run.path = draft.claim(config.model, dataset.name)
        return run

    def write_config(self, config: RunConfig) -> None:
        """Replace ``config.yaml``."""
        self.config = config
        if is_main():
            write_text(self.path / "config.yaml", config.to_yaml())

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the model's outputs."""
        return self.config.classes

    @property
    def preprocess(self) -> Preprocess:
        """How images become inputs of ``module()``."""
        return self.config.preprocess

    @property
    def weights(self) -> Path:
        """The weights that the run ships."""
        return self.path / "weights" / "best.safetensors"

    @property
    def finished(self) -> bool:
        """Whether the run ended; its model card is written last."""
        return (self.path / "README.md").exists()

    @property
    def card(self) -> Card:
        """The model that the run ships, as the catalog would describe it."""
        return Card(
            name=self.config.model,
            source="local",
            architecture=self.config.architecture,
            arguments=self.config.arguments,
            preprocess=self.preprocess,
            origin=str(self.weights),
        )

    def module(self) -> nn.Module:
        """The fine-tuned model with its best weights: float32, evaluation mode, on the CPU.

        Made from the run folder alone: the pretrained weights may be gone, and no network is used.

        Raises:
            RunError: The run has no weights yet, or they are damaged.
        """
        from safetensors import SafetensorError  # imported here: a command that shows a report needs no torch
        from safetensors.torch import load_file

        from zoo.architecture import build

        if not self.weights.exists():
            raise RunError(f"{self.path} has no weights yet.", remedy=f"Finish it: zoo resume {self.path}")
        try:
            module = build(self.card, num_classes=len(self.classes))
            module.load_state_dict(load_file(self.weights))
        except (SafetensorError, OSError, RuntimeError) as error:
            raise RunError(
                f"{self.weights} is damaged or belongs to another model ({error}).",
                remedy="Make the run again: zoo finetune MODEL DATA",
            ) from error
        return module.eval()

    def dataset(self) -> Dataset:
        """The images of the run, with their splits.

        Raises:
            RunError: ``data.json`` is missing or damaged.
        """
        try:
            plain = json.loads((self.path / "data.json").read_text(encoding="utf-8"))
            samples = tuple(Sample(path=p, label=y, split=s, group=g) for p, y, s, g in plain["samples"])
            skipped = tuple(Skipped(path=p, reason=r) for p, r in plain["skipped"])
            return Dataset(
                root=Path(plain["root"]), name=plain["name"], samples=samples, classes=tuple(plain["classes"]),
                skipped=skipped, given_splits=plain["given_splits"],
                made_validation=plain.get("made_validation", False), warnings=tuple(plain["warnings"]),
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{self.path / 'data.json'} is missing or damaged ({error}).",
                remedy="Make the run again: zoo finetune MODEL DATA",
            ) from error

    def write_dataset(self, dataset: Dataset) -> None:
        """Write ``data.json``: every image with its label, split and group, the class order, what was skipped."""
        plain = {
            "root": str(dataset.root.resolve()),
            "name": dataset.name,
            "given_splits": dataset.given_splits,
            "made_validation": dataset.made_validation,
            "classes": list(dataset.classes),
            "warnings": list(dataset.warnings),
            "skipped": [[s.path, s.reason] for s in dataset.skipped],
            "samples": [[s.path, s.label, s.split, s.group] for s in dataset.samples],
        }
        if is_main():
            write_json(self.path / "data.json", plain)

    def predictions(self, split: Split) -> Predictions:
        """What the best weights say of one split.

        Raises:
            RunError: The run has no such split, or is not finished.
        """
        path = self.path / f"predictions-{split}.csv"
        if not path.exists():
            raise RunError(
                f"{self.path} has no predictions for {split!r}.", remedy=f"Finish it: zoo resume {self.path}"
            )
        try:
            return Predictions.read(path)
        except DataError as error:
            # Without its model card a run counts as unfinished, so its last step is taken again.
            raise RunError(
                error.what, remedy=f"Make them again: rm {self.path / 'README.md'}; zoo resume {self.path}"
            ) from error

    def predict(self, images: str | Path | Sequence[str | Path], *, device: str = "auto") -> Predictions:
        """Classify images: a file, a folder, a text file of paths, or several of these.

        Files that are no usable picture are left out; ``zoo.evaluation.predict`` names them.

        Raises:
            DataError: There is no usable image.
        """
        from zoo.evaluation import predict  # builds the model; opening a run does not

        return predict(self, images, device=device).predictions

    def mark_unfinished(self) -> None:
        """Take the mark away that ``finished`` looks for: whoever is killed from now on leaves a run to resume."""
        if is_main():
            (self.path / "README.md").unlink(missing_ok=True)

    @contextmanager
    def training(self) -> Iterator[None]:
        """Be the only one that trains in this folder. What earlier ones left half written is removed.

        Raises:
            RunError: Another process trains in it.
            StorageError: The folder may not be written.
        """
        if not is_main():
            yield
            return
        from filelock import FileLock, Timeout  # brings asyncio and sqlite, which reading a run does not need

        lock = FileLock(self.path / "state" / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise RunError(
                f"Another process is training in {self.path}.", remedy="Wait for it, or stop it first."
            ) from None
        except OSError as error:
            raise storage_error(error, self.path) from error
        try:
            sweep(self.path)
            yield
        finally:
            lock.release()

    def log(self, line: str) -> None:
        """Append one line to ``log.txt``."""
        if not is_main():
            return
        try:
            with (self.path / "log.txt").open("a", encoding="utf-8", errors="surrogateescape") as file:
                file.write(line + "\n")
        except OSError as error:
            raise storage_error(error, self.path / "log.txt") from error


def _environment() -> dict[str, Any]:
    packages = ("zoovet", "torch", "torchvision", "timm", "accelerate", "numpy", "pillow", "scikit-learn")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "packages": {name: version(name) for name in packages},
    }


def version(package: str) -> str:
    """The installed version of a distribution, or ``unknown``."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
