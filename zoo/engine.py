"""How the frozen backbone runs on this machine: precision, memory layout, threads.

``channels_last`` and, where the processor or GPU computes in it, bfloat16: on two cores with avx512_bf16 this ran
EfficientNet-Lite0 six times as fast as the default. One lane a core, each with one thread of its own, keeps all cores
busy while some decode and others compute; there is nothing to wait for.

``ZOO_ENGINE=float32`` overrides the choice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

import torch
from torch import nn

from zoo.devices import best_precision
from zoo.errors import OptionError
from zoo.models.classifier import embed, final_layer_names
from zoo.preprocess import Preprocess

_DTYPES = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_FLOAT32 = "float32"


@dataclass(frozen=True, kw_only=True)
class Engine:
    """How to run a backbone.

    Attributes:
        device: Where.
        dtype: Of weights and activations.
        lanes: Threads that each decode and compute.
        batch: Images of one forward pass.
    """

    device: torch.device
    dtype: torch.dtype
    lanes: int
    batch: int

    @property
    def precision(self) -> str:
        """``float32`` or ``half``: features of the two are kept apart; those of bfloat16 and float16 are not."""
        return _FLOAT32 if self.dtype == torch.float32 else "half"

    def describe(self) -> str:
        """One line for ``zoo doctor``."""
        name = str(self.dtype).removeprefix("torch.")
        return f"{self.device}, {name}, channels_last, {self.lanes} lanes, batches of {self.batch}"


def choose(device: torch.device) -> Engine:
    """The engine for a device.

    Raises:
        OptionError: ``ZOO_ENGINE`` names none.
    """
    asked = os.environ.get("ZOO_ENGINE", "")
    if asked not in {"", _FLOAT32}:
        raise OptionError(f"ZOO_ENGINE must be {_FLOAT32!r} or unset. Got {asked!r} instead.", remedy="Unset it.")
    dtype = torch.float32 if asked else _DTYPES[best_precision(device)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Engine(device=device, dtype=dtype, lanes=cores, batch=32 if device.type == "cpu" else 64)


class Backbone:
    """A frozen model that turns pixels into features. Safe to call from several threads.

    Args:
        module: A classifier with its head; taken over and changed.
        preprocess: What it wants.
        engine: How to run it.
    """

    def __init__(self, module: nn.Module, preprocess: Preprocess, engine: Engine) -> None:
        names = final_layer_names(module)
        self._plain = len(names) == 1
        if self._plain:  # without its head the model gives features itself: no hooks, so threads do not meet
            owner, _, attribute = names[0].rpartition(".")
            setattr(module.get_submodule(owner), attribute, nn.Identity())
        self._module = module.to(engine.device, engine.dtype).to(memory_format=torch.channels_last).eval()
        self._preprocess, self._engine = preprocess, engine
        self._lock = Lock()

    @torch.inference_mode()
    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features ``(n, d)``, float32 on the CPU, of ``(n, height, width, channels)`` uint8.

        Where they do not fit into memory at once they are computed in halves.
        """
        try:
            return self._forward(pixels)
        except torch.OutOfMemoryError:
            if len(pixels) == 1:
                raise
            torch.cuda.empty_cache()
            middle = len(pixels) // 2
            return torch.cat([self(pixels[:middle]), self(pixels[middle:])])

    def _forward(self, pixels: torch.Tensor) -> torch.Tensor:
        if self._engine.device.type == "cuda":
            pixels = pixels.pin_memory().to(self._engine.device, non_blocking=True)
        inputs = self._preprocess.normalise(pixels.to(self._engine.device), self._engine.dtype)
        if self._plain:
            features: torch.Tensor = self._module(inputs)
            return features.flatten(1).float().cpu()
        with self._lock:
            return embed(self._module, inputs).float().cpu()


@contextmanager
def one_thread_a_lane() -> Iterator[None]:
    """Let each lane compute with one thread; restores the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
