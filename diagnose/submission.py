"""What a person hands over of their own training, besides the data: the higher rungs of the ladder."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from zoo.errors import OptionError
from zoo.files import storage_error


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Weights of a trained classifier, and how its pictures were prepared.

    Attributes:
        path: ``.safetensors``, or a state dict saved with ``torch.save``. Never unpickled.
        model: The architecture, by any name that ``zoo list`` knows.
        mean: Per channel, in units of pixel / 255; the model's own where ``None``.
        std: Likewise.
        size: Side of the model's input, pixels; the model's own where ``None``.
        as_trained: Whether this is how the pictures were prepared in training, for sure; no other way is tried then.
    """

    path: Path
    model: str
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    size: int | None = None
    as_trained: bool = False

    def __post_init__(self) -> None:
        if not self.path.is_file():
            raise OptionError(f"There is no file {self.path}.", remedy="Name a .safetensors or .pth file.")
        if not self.model:
            raise OptionError(
                "--checkpoint needs --model: the architecture that the weights were saved from.",
                remedy="For example: --checkpoint w.safetensors --model resnet50. See: zoo list",
            )
        if self.std is not None and min(self.std) <= 0:
            raise OptionError(f"--std must be above 0. Got {min(self.std):g} instead.", remedy="For example: --std 0.5")


@dataclass(frozen=True, kw_only=True)
class Submission:
    """Everything is optional; what is missing leaves causes untested.

    Attributes:
        log: The training's log: a CSV, TensorBoard events, or Hugging Face's ``trainer_state.json``.
        checkpoint: What the training left.
        command: A shell-like line with ``{data}`` and ``{out}`` that trains. It is run.
        algorithm: A Python file that defines the parts. It is run.
        shortcuts: The ``shortcuts.json`` that ``zoo explain`` wrote of their model.
    """

    log: Path | None = None
    checkpoint: Checkpoint | None = None
    command: str | None = None
    algorithm: Path | None = None
    shortcuts: Path | None = None

    def __post_init__(self) -> None:
        if self.algorithm is not None and not self.algorithm.is_file():
            raise OptionError(f"There is no file {self.algorithm}.", remedy="Write one: zoo diagnose --init train.py")
        if self.log is not None and not self.log.exists():
            raise OptionError(f"There is no log {self.log}.", remedy="Name a CSV, trainer_state.json or event file.")
        if self.shortcuts is not None and not self.shortcuts.is_file():
            raise OptionError(
                f"There is no file {self.shortcuts}.", remedy="Write one: zoo explain RUN makes a shortcuts.json."
            )
        if self.command is not None and not ("{data}" in self.command and "{out}" in self.command):
            raise OptionError(
                f"--command must name {{data}} and {{out}}. Got {self.command!r} instead.",
                remedy='For example: --command "python train.py --data {data} --out {out}"',
            )


def per_channel(text: str | None, *, option: str) -> tuple[float, ...] | None:
    """``"0.5"`` or ``"0.485,0.456,0.406"`` as numbers, one or three.

    >>> per_channel("0.5", option="--mean")
    (0.5, 0.5, 0.5)

    Raises:
        OptionError: It is neither one number nor three.
    """
    if text is None:
        return None
    try:
        numbers = tuple(float(part) for part in text.replace(";", ",").split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 3):
        raise OptionError(
            f"{option} must be one number or three. Got {text!r} instead.",
            remedy=f"For example: {option} 0.485,0.456,0.406 (in units of pixel / 255)",
        )
    return numbers * 3 if len(numbers) == 1 else numbers


#: The data alone.
DATA_ALONE = Submission()


def write_template(path: Path) -> None:
    """Write the commented algorithm file that `zoo diagnose --init FILE` gives a person to fill in.

    Raises:
        OptionError: The file exists; it is never overwritten.
        StorageError: It cannot be written.
    """
    text = resources.files("diagnose.references").joinpath("template.py").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise OptionError(f"{str(path)!r} exists.", remedy="Choose another name; nothing is overwritten.") from None
    except OSError as error:
        raise storage_error(error, path) from error
