"""A backbone at work: pixels in, features out, by the engine that ``zoo.engine`` chose."""

from __future__ import annotations

import copy
import threading
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from zoo.classifier import embed, final_layer_names
from zoo.compiled import Compiled
from zoo.errors import DeviceError, ModelError
from zoo.folding import folded
from zoo.preprocess import Preprocess

Pixels = npt.NDArray[np.uint8]

#: Lanes that use a GPU at once: one's images travel while another's are computed; more would only take memory.
AT_ONCE = 2

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Runner:
    """A backbone ready to turn pixels into features. May be called from several threads.

    Args:
        module: Float32, evaluation mode, on the CPU; it is changed, so hand over one of your own.
        preprocess: How it wants its images.
        engine: The name of one.
        batch: Images at a time.
        device: Where.

    Raises:
        ModelError: The engine cannot run this model.
    """

    def __init__(
        self, module: nn.Module, preprocess: Preprocess, engine: str, *, batch: int, device: torch.device
    ) -> None:
        self._preprocess, self._batch, self._device = preprocess, batch, device
        self._plain = _drop_head(module, preprocess)
        self._compiled: Compiled | None = None
        if engine == "openvino":
            if not self._plain:
                raise ModelError("OpenVINO cannot run this model: it has several heads.", remedy="unset ZOO_ENGINE")
            self._compiled = Compiled(module, preprocess)
            return
        self._dtype = _DTYPES[engine]
        self._module = folded(module, _sample(preprocess))
        self._module.to(device=device, dtype=self._dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Where features are caught by a hook, one lane at a time. A processor's lanes need not wait.
        self._turn = threading.Semaphore(AT_ONCE if self._plain and device.type == "cuda" else 1)
        self._waits = not self._plain or device.type != "cpu"
        self._own = threading.local()

    def __call__(self, pixels: Pixels) -> npt.NDArray[np.float16]:
        """Features ``(n, d)`` of ``(n, height, width, channels)``.

        Raises:
            DeviceError: Not even one image fits into the memory.
        """
        size = self._batch
        return np.concatenate([self._fitting(pixels[i : i + size]) for i in range(0, len(pixels), size)])

    def _fitting(self, pixels: Pixels) -> npt.NDArray[np.float16]:
        """One batch; in halves where it does not fit into the memory."""
        try:
            return self._forward(pixels)
        except RuntimeError as error:  # torch.OutOfMemoryError is one; the CPU's allocator raises it plainly
            if not _out_of_memory(error):
                raise
        if len(pixels) == 1:
            raise DeviceError(
                f"One image does not fit into the memory of {self._device}.", remedy="Use a smaller model."
            )
        middle = len(pixels) // 2
        return np.concatenate([self._fitting(pixels[:middle]), self._fitting(pixels[middle:])])

    @torch.inference_mode()
    def _forward(self, pixels: Pixels) -> npt.NDArray[np.float16]:
        if self._compiled is not None:
            return _half(torch.from_numpy(self._compiled(pixels)))
        batch = torch.from_numpy(pixels)
        with self._turn if self._waits else nullcontext(), self._stream():
            if self._device.type == "cuda":
                batch = batch.pin_memory()
            return self._features(batch.to(self._device, non_blocking=True))

    def _stream(self) -> AbstractContextManager[object]:
        """A GPU's queue of work of the lane's own: in one they would wait for each other."""
        if self._device.type != "cuda":
            return nullcontext()
        if not hasattr(self._own, "stream"):
            self._own.stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        return torch.cuda.stream(self._own.stream)

    def _features(self, batch: torch.Tensor) -> npt.NDArray[np.float16]:
        features = self._by(self._module, batch, self._dtype)
        if self._dtype == torch.float16 and not bool(features.isfinite().all()):
            features = self._by(self._in_float32, batch, torch.float32)
        return _half(features)

    def _by(self, module: nn.Module, batch: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        inputs = self._preprocess.normalise(batch, dtype)
        features: torch.Tensor = module(inputs).flatten(1) if self._plain else embed(module, inputs)
        return features

    @cached_property
    def _in_float32(self) -> nn.Module:
        """For images on which half precision ran over: it ends at 65504."""
        return copy.deepcopy(self._module).float()


def _half(features: torch.Tensor) -> npt.NDArray[np.float16]:
    # Half precision ends at 65504; no sane feature is there, and infinity would spoil every distance.
    return np.asarray(features.float().clamp_(-65504, 65504).half().cpu().numpy())


def _sample(preprocess: Preprocess) -> torch.Tensor:
    """One image of the values that a model expects."""
    values = torch.linspace(-1, 1, preprocess.channels * preprocess.size[0] * preprocess.size[1])
    return values.view(1, preprocess.channels, *preprocess.size)


@torch.inference_mode()
def _drop_head(module: nn.Module, preprocess: Preprocess) -> bool:
    """Takes the last layer away, so that the model gives features; whether it then does, or was left as it was.

    ``embed`` catches the features with a hook, and threads would catch each other's.
    """
    names = final_layer_names(module)
    if len(names) != 1:
        return False
    inputs = _sample(preprocess)
    expected = embed(module, inputs)
    owner, _, attribute = names[0].rpartition(".")
    head = module.get_submodule(names[0])
    setattr(module.get_submodule(owner), attribute, nn.Identity())
    features = module(inputs)
    if isinstance(features, torch.Tensor) and torch.equal(features.flatten(1), expected):
        return True
    setattr(module.get_submodule(owner), attribute, head)
    return False


def _out_of_memory(error: RuntimeError) -> bool:
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in text or "out of memory" in text
