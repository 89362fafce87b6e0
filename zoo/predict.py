"""From image files to probabilities, with any module."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from zoo.data.dataset import Skipped
from zoo.data.decode import UnusableImage, decode
from zoo.data.files import read_file
from zoo.preprocess import Preprocess
from zoo.progress import ProgressCallback, silent
from zoo.settings import Precision

_BATCH = 32
#: The statistics of a picture are measured at this side, so nothing is decoded to less.
_DECODED_SIDE = 256
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def decoded_side(*wanted: Preprocess) -> int:
    """The shorter side, in pixels, that a picture is decoded to where all of these models are to look at it."""
    return max(_DECODED_SIDE, *(math.ceil(max(p.size) / p.crop_pct) for p in wanted), 0)


def pixels_of(data: bytes, preprocess: Preprocess) -> npt.NDArray[np.uint8]:
    """What a model sees of a file, ``(height, width, channels)``.

    Raises:
        UnusableImage: The file is no usable picture.
    """
    return preprocess.pixels(decode(data, short_side=decoded_side(preprocess)))


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Mixed precision for a forward pass; nothing for ``no``."""
    return torch.autocast(device.type, _DTYPES[precision]) if precision != "no" else nullcontext()


@torch.inference_mode()
def forward(
    module: nn.Module, pixels: torch.Tensor, preprocess: Preprocess, *, device: torch.device, precision: Precision
) -> torch.Tensor:
    """Probabilities ``(n, classes)``, float32 on the CPU, for ``(n, height, width, channels)`` uint8."""
    inputs = preprocess.normalise(pixels.to(device, non_blocking=True))
    with autocast(device, precision):
        logits: torch.Tensor = module(inputs)
    return logits.float().softmax(dim=1).cpu()


def probabilities(
    module: nn.Module,
    pixels: Callable[[int], npt.NDArray[np.uint8]],
    indices: Sequence[int],
    preprocess: Preprocess,
    *,
    device: torch.device,
    precision: Precision = "no",
    progress: ProgressCallback = silent,
) -> npt.NDArray[np.float32]:
    """Probabilities ``(len(indices), classes)``; the module is used as it is and must be in evaluation mode.

    Args:
        module: On ``device``.
        pixels: Gives the image at an index; called from several threads.
        indices: Which images, in the order of the result.
        preprocess: What the module wants.
        device: Where the module is.
        precision: Of the forward pass.
        progress: Told after each batch.
    """
    rows = []
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(indices), _BATCH):
            batch = torch.from_numpy(np.stack(list(pool.map(pixels, indices[start : start + _BATCH]))))
            rows.append(forward(module, batch, preprocess, device=device, precision=precision))
            progress("predict", min(start + _BATCH, len(indices)), len(indices))
    return torch.cat(rows).numpy() if rows else np.zeros((0, 0), dtype=np.float32)


def predict_files(
    module: nn.Module,
    files: Sequence[Path],
    preprocess: Preprocess,
    *,
    device: torch.device,
    precision: Precision = "no",
    progress: ProgressCallback = silent,
) -> tuple[list[int], npt.NDArray[np.float32], list[Skipped]]:
    """Probabilities of the files that can be read.

    Returns:
        Positions of the usable files, their probabilities ``(len(positions), classes)``, and the others with a reason.
    """
    usable: list[int] = []
    skipped: list[Skipped] = []
    rows: list[torch.Tensor] = []

    def load(file: Path) -> npt.NDArray[np.uint8] | str:
        try:
            return pixels_of(read_file(file), preprocess)
        except UnusableImage as error:
            return error.reason

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(files), _BATCH):
            loaded = list(enumerate(pool.map(load, files[start : start + _BATCH]), start))
            skipped += [Skipped(path=str(files[i]), reason=p) for i, p in loaded if isinstance(p, str)]
            good = [(i, p) for i, p in loaded if not isinstance(p, str)]
            if good:
                usable += [i for i, _ in good]
                batch = torch.from_numpy(np.stack([p for _, p in good]))
                rows.append(forward(module, batch, preprocess, device=device, precision=precision))
            progress("predict", min(start + _BATCH, len(files)), len(files))
    return usable, torch.cat(rows).numpy() if rows else np.zeros((0, 0), dtype=np.float32), skipped
