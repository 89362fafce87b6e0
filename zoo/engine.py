"""Which engine runs the backbone, and how many images at a time: what is quickest on this machine. Work: ``zoo.runner``.

Features of every engine that is taken unasked agree with plain float32: the cosine between them is at least
``AGREEMENT``. So they share a table in the store. bfloat16 is only taken when it is asked for by name, though a processor
that has it is nearly twice as quick in it: it keeps eight bits, and of pictures with little contrast that is too few (on
blood cells under the microscope a cosine of 0.91, and 0.75 points of a probe's accuracy; ``python -m benchmarks.engines``).
"""

from __future__ import annotations

import copy
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import nn

from zoo import cache, compiled
from zoo.card import Card
from zoo.devices import best_precision
from zoo.errors import ModelError, OptionError
from zoo.lanes import cores
from zoo.runner import Pixels, Runner

#: PyTorch in a precision, or the extra ``openvino``.
Name = Literal["float32", "bfloat16", "float16", "openvino"]

#: Smallest cosine between the features of an engine that is taken unasked and those of float32.
AGREEMENT = 0.999
#: Jobs of fewer images take the default: to measure costs about a second.
WORTH_MEASURING = 1000
#: Jobs of fewer images do without OpenVINO: to compile costs about two seconds.
WORTH_COMPILING = 3000

#: Images that a lane takes at a time on a CPU.
CPU_BATCH = 32
#: More lanes wait for the interpreter and for each other.
MOST_LANES = 64
# A batch whose activations fit the processor's cache is quickest; which, depends on both. Larger ones were never
# quicker by much, and OpenVINO keeps the memory of the largest that it has seen.
_CPU_BATCHES = (2, 4, 8)
_DEFAULT_BATCH = 4
_ACCELERATOR_BATCH = 128
_TRIALS = 3
_FORMAT = 2  # of what is remembered; a change measures anew
_NOTE = "engines.json"


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One way to run a backbone.

    Attributes:
        name: Of what computes.
        batch: Images at a time in one lane.
        reason: Why it was chosen, in words.
    """

    name: Name
    batch: int
    reason: str


def batch(device: torch.device) -> int:
    """Images that a lane should hand over at a time."""
    return CPU_BATCH if device.type == "cpu" else _ACCELERATOR_BATCH


def asked() -> str:
    """The engine that ``$ZOO_ENGINE`` names, or ``auto``."""
    return os.environ.get("ZOO_ENGINE", "auto")


def check(name: str) -> str:
    """``name`` if it is an engine's that can be used here, or ``auto``. Raises ``OptionError`` otherwise."""
    if name not in ("auto", *get_args(Name)):
        raise OptionError(f"There is no engine {name!r}.", remedy=f"Use auto, {', '.join(get_args(Name))}.")
    if name == "openvino" and not compiled.installed():
        raise OptionError("The engine openvino is not installed.", remedy="pip install openvino")
    return name


def choose(card: Card, module: nn.Module, device: torch.device, *, images: int, name: str = "auto") -> Engine:
    """The engine for a job: what was asked for, what was measured here before, or a measurement now if it pays.

    Args:
        card: The model.
        module: Itself, float32, on the CPU.
        device: Where it will run.
        images: How many there are to do.
        name: ``auto``, or an engine's.

    Raises:
        OptionError: The engine cannot be used here.
        ModelError: The engine that was asked for cannot run this model.
    """
    check(name)
    if device.type != "cpu":
        return Engine(name=_accelerated(device, name), batch=_ACCELERATOR_BATCH, reason="accelerator")
    names = (_name(name),) if name != "auto" else tuple(_worthwhile(images))
    key = _key(card, names)
    remembered = _remembered().get(key)
    if remembered is not None:
        return remembered
    if images < WORTH_MEASURING:
        reason = "asked for" if name != "auto" else "default: the job is short"
        # Plain float32 runs every model; that others do is seen, not supposed.
        first = names[0] if names == ("float32",) else next(_running(card, module, names))[0]
        return Engine(name=first, batch=_DEFAULT_BATCH, reason=reason)
    engine = _measured(card, module, names)
    _remember(key, engine)
    return engine


def describe() -> tuple[tuple[str, Engine], ...]:
    """What was measured on this machine: the model's name beside the engine chosen. For ``zoo doctor``."""
    return tuple((key.split("|")[0], engine) for key, engine in sorted(_remembered().items()))


def _name(text: str) -> Name:
    return next(known for known in get_args(Name) if known == text)


def _accelerated(device: torch.device, name: str) -> Name:
    if name == "openvino":
        raise OptionError(
            f"The engine openvino cannot run on {device}.", remedy="Use --device cpu, or unset ZOO_ENGINE."
        )
    if name != "auto":
        return _name(name)
    return "float32" if best_precision(device) == "no" else "float16"


def _worthwhile(images: int) -> list[Name]:
    """Engines that may be quickest on this processor for so many images, the default first."""
    found: list[Name] = ["float32"]
    if images >= WORTH_COMPILING and compiled.installed():
        found.append("openvino")
    return found


def _measured(card: Card, module: nn.Module, names: tuple[Name, ...]) -> Engine:
    """Times every engine at every batch size on one core, interleaved; the least of each counts."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    runners = dict(_running(card, module, names))
    pixels = _noise(card, max(_CPU_BATCHES))
    seconds: dict[tuple[Name, int], float] = {}
    for _ in range(_TRIALS):
        for name, runner in runners.items():
            for batch in _CPU_BATCHES:
                start = time.process_time()  # OpenVINO computes in threads of its own
                runner(pixels[:batch])
                each = (time.process_time() - start) / batch
                seconds[name, batch] = min(each, seconds.get((name, batch), np.inf))
    torch.set_num_threads(before)
    name, batch = min(seconds, key=lambda pair: seconds[pair])
    rates = {tried: 1 / min(s for (other, _), s in seconds.items() if other == tried) for tried in runners}
    told = ", ".join(f"{tried} {rate:.0f}" for tried, rate in rates.items())
    return Engine(name=name, batch=batch, reason=f"measured, images/s on one core: {told}")


def _running(card: Card, module: nn.Module, names: tuple[Name, ...]) -> Iterator[tuple[Name, Runner]]:
    """Engines beside their names, warm; without those that cannot run this model, while there are others.

    Raises:
        ModelError: The only engine cannot run this model.
    """
    for name in names:
        own = copy.deepcopy(module)
        try:
            runner = Runner(own, card.preprocess, name, batch=max(_CPU_BATCHES), device=torch.device("cpu"))
            runner(_noise(card, 2))
        except (ModelError, NotImplementedError) as error:  # PyTorch lacks some operations in some precisions
            if len(names) > 1:
                continue
            if isinstance(error, ModelError):
                raise
            raise ModelError(f"{card.name} cannot be run in {name}: {error}.", remedy="unset ZOO_ENGINE") from error
        yield name, runner


def _noise(card: Card, count: int) -> Pixels:
    shape = (count, *card.preprocess.size, card.preprocess.channels)
    return np.random.default_rng(0).integers(0, 256, size=shape, dtype=np.uint8)


def _key(card: Card, names: tuple[Name, ...]) -> str:
    machine = f"{platform.machine()}|{cores()}|{torch.backends.cpu.get_cpu_capability()}|{torch.__version__}"
    return f"{card.name}|{'+'.join(names)}|{machine}|{_FORMAT}"


def _remembered() -> dict[str, Engine]:
    return cache.recall(_NOTE, lambda content: {key: Engine(**value) for key, value in content.items()}) or {}


def _remember(key: str, engine: Engine) -> None:
    cache.remember(_NOTE, {k: asdict(v) for k, v in {**_remembered(), key: engine}.items()})
