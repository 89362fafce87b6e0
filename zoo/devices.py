"""Devices, precision and processes, all through Accelerate."""

from __future__ import annotations

import atexit
import os
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.utils import broadcast_object_list

from zoo.device_name import parse
from zoo.errors import DeviceError
from zoo.ranks import several
from zoo.settings import Precision

T = TypeVar("T")


def check(device: str) -> str:
    """The device's name if it can be used here.

    Args:
        device: ``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.

    Raises:
        OptionError: No device is called so.
        DeviceError: There is no such device here.
    """
    kind, number = parse(device)
    absent = {"cuda": not torch.cuda.is_available(), "mps": not torch.backends.mps.is_available()}
    if absent.get(kind, False):
        raise DeviceError(f"There is no {kind} device here.", remedy="Leave --device away, or see: zoo doctor")
    if kind == "cuda" and number is not None and number >= torch.cuda.device_count():
        raise DeviceError(
            f"There is no device {device!r}; this machine has {torch.cuda.device_count()}.",
            remedy="Numbers start at 0. See: zoo doctor",
        )
    return device


def torch_device(device: str) -> torch.device:
    """The device itself; ``auto`` is the fastest there is.

    Raises:
        DeviceError: There is no such device here.
    """
    if check(device) != "auto":
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def best_precision(device: torch.device) -> Precision:
    """The fastest precision that trains well: bfloat16 where the hardware has it, else float32."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    # Without its own instructions a processor emulates bfloat16, slower than float32.
    return "bf16" if device.type == "cpu" and torch.backends.mkldnn.is_available() and _has_bf16() else "no"  # type: ignore[no-untyped-call]


def _has_bf16() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # noqa: SLF001


def accelerator(device: str, precision: Precision) -> Accelerator:
    """An Accelerator for one training. What an earlier training in this process set is forgotten.

    Raises:
        DeviceError: There is no such device here.
    """
    chosen = torch_device(device)
    # Accelerate keeps one configuration a process; a library user may train twice with different ones.
    AcceleratorState._reset_state(reset_partial_state=not several())  # noqa: SLF001
    GradientState._reset_state()  # noqa: SLF001
    if not several():
        os.environ["ACCELERATE_TORCH_DEVICE"] = str(chosen)
    try:
        return Accelerator(mixed_precision=precision, cpu=chosen.type == "cpu")
    except (ValueError, RuntimeError) as error:
        raise DeviceError(
            f"{chosen} cannot train with precision {precision!r} ({error}).", remedy="Use: --set precision=no"
        ) from error


def processes() -> PartialState:
    """The processes that ``torchrun`` or ``accelerate launch`` started, or this one alone."""
    first = not PartialState._shared_state  # noqa: SLF001
    state = PartialState(cpu=not torch.cuda.is_available())
    if first and state.num_processes > 1:
        atexit.register(state.destroy_process_group)  # PyTorch warns where nobody does
    return state


def agreed(value: T) -> T:
    """The main process's ``value``, in every process.

    What is measured or found on the disk may differ between them, and they must all take the same way.
    """
    boxes = [value]
    if processes().num_processes > 1:
        broadcast_object_list(boxes)
    return boxes[0]
