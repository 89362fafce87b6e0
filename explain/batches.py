"""How many images go through a model at a time: as memory allows and the processor likes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from zoo.errors import DeviceError

T = TypeVar("T")

#: Four images of 224 x 224. Their widest features are small enough for the C library to use the same memory for one
#: layer after the other; those of sixteen images are fetched from the system page by page, again at each layer. On one
#: thread Lite0 takes 0.39 s for sixteen images four at a time, 0.56 s together.
_PIXELS_A_PASS = 4 * 224**2


def images_a_pass(inputs: Tensor, most: int) -> int:
    """How many of ``inputs`` ``(n, channels, rows, columns)`` go through a model at a time, ``most`` at most.

    An accelerator takes ``most``. A processor is faster with few, though not with fewer than it has threads.
    """
    if inputs.device.type != "cpu":
        return most
    few = _PIXELS_A_PASS // max(1, inputs.shape[2] * inputs.shape[3])
    return max(1, min(most, max(few, torch.get_num_threads())))


def in_batches(work: Callable[[int, int], T], count: int, size: int) -> list[T]:
    """``work(start, stop)`` over ``range(count)``, ``size`` at a time; when memory runs out, half as many.

    Raises:
        DeviceError: Not even one item fits.
    """
    results: list[T] = []
    start = 0
    while start < count:
        try:
            results.append(work(start, min(count, start + size)))
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            if size == 1:
                raise DeviceError("Not even one image fits in memory.", remedy="Use --device cpu.") from error
        else:
            start += size
            continue
        # Outside the handler: the traceback holds the tensors that do not fit.
        size //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return results


def _is_out_of_memory(error: RuntimeError) -> bool:
    # The CPU's allocator raises a plain RuntimeError.
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
