"""How many images go through a model at a time: as memory allows and the processor likes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from zoo import lanes
from zoo.errors import DeviceError

T = TypeVar("T")

_LIBRARIES = {"torch", "timm", "torchvision", "zoo"}

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


def spread(
    work: Callable[[int, int], T],
    count: int,
    *,
    model: nn.Module,
    inputs: Tensor,
    most: int,
    tell: Callable[[int], None],
) -> list[T]:
    """``work(start, stop)`` over ``range(count)`` without gradients, as quickly as this machine can.

    On a processor each core takes a batch of its own, where several may share the model: small batches keep two
    cores less than twice as busy as one.

    Args:
        work: Runs the model on so many pictures; called from several threads at once.
        count: Pictures.
        model: The classifier.
        inputs: Images of the size that is run.
        most: Pictures a pass.
        tell: Told how many more are done.
    """
    threads = min(torch.get_num_threads(), lanes.cores())
    if threads < 2 or not _may_be_shared(model, inputs):

        def told(start: int, stop: int) -> T:
            result = work(start, stop)
            tell(stop - start)
            return result

        return in_batches(told, count, images_a_pass(inputs, most))
    size = max(1, min(images_a_pass(inputs, most), -(-count // threads)))
    found: dict[int, list[T]] = {}

    def one(start: int) -> int:
        stop = min(count, start + size)
        with torch.no_grad():  # each thread has a mode of its own
            found[start] = in_batches(lambda a, b: work(start + a, start + b), stop - start, size)
        return stop - start

    lanes.run(one, range(0, count, size), lanes=threads, done=tell)
    return [result for start in sorted(found) for result in found[start]]


def _may_be_shared(model: nn.Module, inputs: Tensor) -> bool:
    """Whether threads may run a model at once: on a processor, of libraries that keep no state in it, without hooks."""
    if inputs.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return False
    hooked = any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())  # noqa: SLF001 - torch tells by no other way
    return not hooked and all(type(m).__module__.partition(".")[0] in _LIBRARIES for m in model.modules())


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
