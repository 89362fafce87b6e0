"""How the backbone runs: precision, memory layout and batch size, the quickest on this machine.

Features of every engine agree with plain float32: the cosine between them is at least ``AGREEMENT`` on photographs.
So they share a table in the store, unless float32 was asked for by name.
"""

from __future__ import annotations

import copy
import json
import os
import platform
import threading
import time
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from zoo import cache
from zoo.card import Card
from zoo.classifier import embed, final_layer_names
from zoo.devices import best_precision
from zoo.errors import DeviceError, OptionError, StorageError
from zoo.lanes import cores
from zoo.preprocess import Preprocess

Precision = Literal["float32", "bfloat16", "float16"]
Pixels = npt.NDArray[np.uint8]

#: Smallest cosine between the features of any engine and those of float32.
AGREEMENT = 0.99
#: Jobs of fewer images take the default: to measure costs about a second.
WORTH_MEASURING = 1000

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
#: Images that a lane takes at a time on a CPU; the largest batch tried there.
CPU_BATCH = 32
#: More lanes wait for the interpreter and for each other.
MOST_LANES = 64
_CPU_BATCHES = (
    4,
    16,
    CPU_BATCH,
)  # a batch whose activations fit the processor's cache is quickest; which, depends on both
_ACCELERATOR_BATCH = 128
_TRIALS = 3
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One way to run a backbone.

    Attributes:
        precision: Of weights and activations.
        batch: Images at a time in one lane.
        reason: Why it was chosen, in words.
    """

    precision: Precision
    batch: int
    reason: str


def batch(device: torch.device) -> int:
    """Images that a lane should hand over at a time."""
    return CPU_BATCH if device.type == "cpu" else _ACCELERATOR_BATCH


def asked() -> str:
    """The engine that ``$ZOO_ENGINE`` names, or ``auto``."""
    return os.environ.get("ZOO_ENGINE", "auto")


def check(name: str) -> str:
    """``name`` if it is an engine's, or ``auto``. Raises ``OptionError`` otherwise."""
    if name != "auto" and name not in _DTYPES:
        raise OptionError(f"There is no engine {name!r}.", remedy=f"Use auto, {', '.join(_DTYPES)}.")
    return name


def choose(card: Card, module: nn.Module, device: torch.device, *, images: int, name: str = "auto") -> Engine:
    """The engine for a job: what was asked for, what was measured here before, or a measurement now if it pays.

    Args:
        card: The model.
        module: Itself, float32, on the CPU.
        device: Where it will run.
        images: How many there are to do.
        name: ``auto``, or a precision.
    """
    check(name)
    if device.type != "cpu":
        return Engine(precision=_accelerated(device, name), batch=_ACCELERATOR_BATCH, reason="accelerator")
    precisions = (_narrow(name),) if name != "auto" else tuple(_worthwhile())
    key = _key(card, precisions)
    remembered = _remembered().get(key)
    if remembered is not None:
        return remembered
    if images < WORTH_MEASURING:
        reason = "asked for" if name != "auto" else "default: the job is short"
        return Engine(precision=precisions[0], batch=16, reason=reason)
    engine = _measured(card, module, precisions)
    _remember(key, engine)
    return engine


def describe() -> tuple[tuple[str, Engine], ...]:
    """What was measured on this machine: the model's name beside the engine chosen. For ``zoo doctor``."""
    return tuple((key.split("|")[0], engine) for key, engine in sorted(_remembered().items()))


class Runner:
    """A backbone ready to turn pixels into features. May be called from several threads.

    Args:
        module: Float32, evaluation mode, on the CPU; it is changed, so hand over one of your own.
        preprocess: How it wants its images.
        engine: How to run it.
        device: Where.
    """

    def __init__(self, module: nn.Module, preprocess: Preprocess, engine: Engine, device: torch.device) -> None:
        self.engine, self._preprocess, self._device = engine, preprocess, device
        self._dtype = _DTYPES[engine.precision]
        self._plain = _drop_head(module, preprocess)
        self._module = module.to(device=device, dtype=self._dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        # One stream of work to an accelerator; the lanes that wait here have decoded, those that do not are decoding.
        self._turn = threading.Lock()

    def __call__(self, pixels: Pixels) -> npt.NDArray[np.float16]:
        """Features ``(n, d)`` of ``(n, height, width, channels)``.

        Raises:
            DeviceError: Not even one image fits into the memory.
        """
        size = self.engine.batch
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
        batch = torch.from_numpy(pixels)
        if self._device.type == "cpu" and self._plain:
            return self._features(batch)
        batch = batch.pin_memory() if self._device.type == "cuda" else batch
        with self._turn:
            return self._features(batch.to(self._device, non_blocking=True))

    def _features(self, batch: torch.Tensor) -> npt.NDArray[np.float16]:
        inputs = self._preprocess.normalise(batch, self._dtype)
        features = self._module(inputs).flatten(1) if self._plain else embed(self._module, inputs)
        # Half precision ends at 65504; no sane feature is there, and infinity would spoil every distance.
        return np.asarray(features.float().clamp_(-65504, 65504).half().cpu().numpy())


@torch.inference_mode()
def _drop_head(module: nn.Module, preprocess: Preprocess) -> bool:
    """Takes the last layer away, so that the model gives features; whether it then does, or was left as it was.

    ``embed`` catches the features with a hook, and threads would catch each other's.
    """
    names = final_layer_names(module)
    if len(names) != 1:
        return False
    probe = torch.linspace(-1, 1, preprocess.channels * preprocess.size[0] * preprocess.size[1])
    inputs = probe.view(1, preprocess.channels, *preprocess.size)
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


def _narrow(name: str) -> Precision:
    return next(known for known in ("float32", "bfloat16", "float16") if known == name)


def _accelerated(device: torch.device, name: str) -> Precision:
    if name != "auto":
        return _narrow(name)
    best: dict[str, Precision] = {"bf16": "bfloat16", "fp16": "float16", "no": "float32"}
    return best[best_precision(device)]


def _worthwhile() -> list[Precision]:
    """Precisions that may be quickest on this processor, the likely one first."""
    found: list[Precision] = ["float32"]
    if best_precision(torch.device("cpu")) == "bf16":
        found.insert(0, "bfloat16")
    return found


def _measured(card: Card, module: nn.Module, precisions: tuple[Precision, ...]) -> Engine:
    """Times every precision at every batch size on one core, interleaved; the least of each counts."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    shape = (max(_CPU_BATCHES), *card.preprocess.size, card.preprocess.channels)
    pixels = rng.integers(0, 256, size=shape, dtype=np.uint8)
    runners = {}
    for precision in precisions:
        engine = Engine(precision=precision, batch=max(_CPU_BATCHES), reason="")
        runners[precision] = Runner(copy.deepcopy(module), card.preprocess, engine, torch.device("cpu"))
        runners[precision](pixels[:2])
    seconds: dict[tuple[Precision, int], float] = {}
    for _ in range(_TRIALS):
        for precision, runner in runners.items():
            for batch in _CPU_BATCHES:
                start = time.thread_time()
                runner(pixels[:batch])
                each = (time.thread_time() - start) / batch
                seconds[precision, batch] = min(each, seconds.get((precision, batch), np.inf))
    torch.set_num_threads(before)
    precision, batch = min(seconds, key=lambda pair: seconds[pair])
    rates = {p: 1 / min(s for (q, _), s in seconds.items() if q == p) for p in precisions}
    told = ", ".join(f"{p} {rate:.0f}" for p, rate in rates.items())
    return Engine(precision=precision, batch=batch, reason=f"measured, images/s on one core: {told}")


def _key(card: Card, precisions: tuple[Precision, ...]) -> str:
    machine = f"{platform.machine()}|{cores()}|{torch.backends.cpu.get_cpu_capability()}|{torch.__version__}"
    return f"{card.name}|{'+'.join(precisions)}|{machine}|{_FORMAT}"


def _remembered() -> dict[str, Engine]:
    try:
        content = json.loads((cache.root() / "engines.json").read_text("utf-8"))
        return {key: Engine(**value) for key, value in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # nothing yet, or damaged: measured again


def _remember(key: str, engine: Engine) -> None:
    try:
        with cache.replacing(cache.root() / "engines.json") as part:
            content = {k: asdict(v) for k, v in {**_remembered(), key: engine}.items()}
            part.write_text(json.dumps(content, indent=1), "utf-8")
    except StorageError:
        return  # it is measured again next time
