"""This machine: what it computes with, and which versions of what."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from zoo import devices
from zoo.lanes import cores
from zoo.run import version
from zoo.settings import Precision

_PACKAGES = (
    "zoovet", "torch", "torchvision", "timm", "accelerate", "captum", "huggingface-hub", "safetensors", "numpy",
    "pillow", "scikit-learn", "scipy", "faiss-cpu",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Device:
    """Something to compute on.

    Attributes:
        name: As ``--device`` takes it.
        model: What its maker calls it.
        memory: Bytes.
    """

    name: str
    model: str
    memory: int


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The facts on a machine.

    Attributes:
        python: Its version.
        system: Name and processor.
        cores: That this process may use.
        threads: That torch uses.
        memory: Bytes.
        free_memory: Bytes.
        shared_memory: Bytes that worker processes have to hand images over; ``None`` where the system has no limit.
        devices: The processor and accelerators that torch can use.
        chosen: The name of the device that ``auto`` stands for.
        precision: The fastest that trains well there.
        idle_gpu: Whether there is an NVIDIA GPU that torch cannot use.
        versions: Of packages, by name; ``unknown`` where one is not installed.
    """

    python: str
    system: str
    cores: int
    threads: int
    memory: int
    free_memory: int
    shared_memory: int | None
    devices: tuple[Device, ...]
    chosen: str
    precision: Precision
    idle_gpu: bool
    versions: tuple[tuple[str, str], ...]


def machine() -> Machine:
    """The facts on this machine."""
    memory = psutil.virtual_memory()
    chosen = devices.torch_device("auto")
    return Machine(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        cores=cores(),
        threads=torch.get_num_threads(),
        memory=int(memory.total),
        free_memory=int(memory.available),
        shared_memory=_shared_memory(),
        devices=(_processor(int(memory.total)), *_accelerators()),
        chosen=str(chosen),
        precision=devices.best_precision(chosen),
        idle_gpu=Path("/dev/nvidia0").exists() and not torch.cuda.is_available(),
        versions=tuple((name, version(name)) for name in _PACKAGES),
    )


def _processor(memory: int) -> Device:
    return Device(name="cpu", model=torch.backends.cpu.get_cpu_capability(), memory=memory)


def _accelerators() -> list[Device]:
    found = []
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        found.append(Device(name=f"cuda:{number}", model=properties.name, memory=int(properties.total_memory)))
    if torch.backends.mps.is_available():
        found.append(Device(name="mps", model="Apple", memory=int(torch.mps.recommended_max_memory())))
    return found


def _shared_memory() -> int | None:
    try:
        status = os.statvfs("/dev/shm")  # noqa: S108 - where Linux keeps it; containers often get 64 MB
    except (OSError, AttributeError):
        return None
    return status.f_blocks * status.f_frsize
