"""From a folder of images to a run: what a person calls. The work is in ``zoo.steps``, which loads torch.

``finetune`` makes the run folder and ``resume`` opens one; both then take the same steps. Every step gives the same
result when it is taken again, so a run that was killed anywhere can go on. (On a processor without bfloat16 a feature
may differ in its last bit where a pass over more than some thousand images was killed: batches are then others.)

Under ``torchrun --nproc-per-node N -m cli finetune ...`` (``accelerate launch`` on several GPUs) the processes share
the images and the batches, and the first one writes. On processors ``accelerate launch --cpu --num_processes N`` starts
one process only, unless it is given mpirun: https://github.com/huggingface/accelerate/issues/2741. How closely the
result is that of one process: ``zoo.train``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo import device_name
from zoo.data.dataset import Dataset
from zoo.errors import RunError, Stopped, StorageError, ZooError
from zoo.progress import ProgressCallback, silent
from zoo.ranks import is_main, several
from zoo.request import check_request
from zoo.run import Run
from zoo.settings import Settings

Say = Callable[[str], None]


def _mute(_: str) -> None:
    """Says nothing."""


def finetune(
    model: str,
    data: str | Path | Dataset,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    offline: bool = False,
    progress: ProgressCallback = silent,
    say: Say = _mute,
    **choices: Any,
) -> Run:
    """Fine-tune a pretrained model on labelled images.

    Args:
        model: A name of the catalog, an alias (``resnet``), ``hf-hub:owner/name`` or a local file.
        data: An image folder, a manifest, a zip, ``hf:name``, or what ``zoo.data.read`` made of one.
        out: Folder of the run; by default the next number under ``runs/``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        offline: Make no network call.
        progress: Told how far the work is.
        say: Told in words what was chosen and found.
        **choices: Fields of ``zoo.settings.Settings``, such as ``epochs=5`` or ``seed=1``.

    Returns:
        The finished run.

    Raises:
        ZooError: What a person can mend; see ``zoo.errors``.
            A run that could not begin leaves no folder behind.
        Stopped: After Ctrl-C; the state is saved and ``resume`` goes on.
    """
    asked = check_request(model, data, out=out, device=device, offline=offline, choices=choices)
    progress, say = (progress, say) if is_main() else (silent, _mute)
    if asked.card.name != model:
        say(f"{model} -> {asked.card.name}")
    from zoo import steps  # torch and accelerate: seconds that a mistake need not wait for

    run = steps.begin(asked)
    say(f"run: {run.path}")
    with _stoppable(run):
        try:
            return steps.advance(run, run.config.settings, device=device, offline=offline, progress=progress, say=say)
        except ZooError as error:
            # A full disk is mended from outside, and then the run goes on.
            if not isinstance(error, StorageError):
                steps.discard_unbegun(run)
            raise


def resume(
    path: str | Path,
    *,
    epochs: int | None = None,
    device: str = "auto",
    offline: bool = False,
    progress: ProgressCallback = silent,
    say: Say = _mute,
) -> Run:
    """Go on with a run that was stopped, or train a finished one for more epochs.

    Args:
        path: The run folder.
        epochs: Total number of epochs, where it is to change.
        device: As for ``finetune``.
        offline: Make no network call.
        progress: Told how far the work is.
        say: Told in words what was chosen and found.

    Raises:
        ZooError: The folder is no run, is damaged, or is being trained by another process.
        Stopped: After Ctrl-C, as for ``finetune``.
    """
    device_name.parse(device)
    progress, say = (progress, say) if is_main() else (silent, _mute)
    run = Run.open(path)
    settings = _left_to_do(run, epochs)
    if several():
        from zoo.devices import agreed

        settings = agreed(settings)
    if settings is None:
        say(f"{path} is finished. For more epochs: zoo resume {path} --epochs N")
        return run
    from zoo import devices, steps  # torch and accelerate

    devices.check(device)
    with _stoppable(run):
        return steps.advance(run, settings, device=device, offline=offline, progress=progress, say=say)


@contextmanager
def _stoppable(run: Run) -> Iterator[None]:
    """Let Ctrl-C name the command that goes on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Stopped(
            f"Stopped; {run.path} keeps what is done.", remedy=f"Go on with: zoo resume {shlex.quote(str(run.path))}"
        ) from stop


def _left_to_do(run: Run, epochs: int | None) -> Settings | None:
    """The settings to go on with; ``None`` where the run is finished."""
    before = run.config.settings
    if epochs is not None and before.recipe != "finetune":
        raise RunError(
            f"{run.path} is a probe: it has no epochs.",
            remedy=f"Fine-tune all weights: zoo finetune {run.config.model} DATA --full",
        )
    if run.finished and (epochs is None or epochs == before.epochs):
        return None
    return before if epochs is None else before.override({"epochs": epochs, "time": None})
