"""Reading named tensors from a file without ever running code that the file carries."""

from __future__ import annotations

import pickle
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import WeightsError

if TYPE_CHECKING:
    import torch

#: Endings of the weights files that can be read.
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
# What torch.load is seen to raise for cut, overwritten or hostile files.
_DAMAGED = (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError, AttributeError, TypeError)


def read_tensors(path: Path, *, remedy: str) -> dict[str, torch.Tensor]:
    """The tensors in a ``.safetensors`` file or in a state dict saved with ``torch.save``, on the CPU.

    A checkpoint that wraps its state dict (``{"state_dict": ...}`` and the like) is unwrapped, and the ``module.``
    that ``DataParallel`` puts before every name is taken off.

    Args:
        path: The file. Its ending decides how it is read.
        remedy: What to do where it is damaged; becomes part of the error.

    Raises:
        WeightsError: The file is damaged, holds no tensors, or holds more than tensors.
    """
    if path.suffix == ".safetensors":
        return _safetensors(path, remedy)
    import torch  # 1 s that the catalog, which knows the endings from here, need not pay

    try:
        with warnings.catch_warnings(action="ignore"):  # guesses about what a damaged file might be
            content = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGED as error:
        raise _damaged(path, error, remedy) from error
    for key in ("state_dict", "model_state_dict", "model_state", "model", "net"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in content.values()):
        raise WeightsError(f"{str(path)!r} holds no state dict (names and their tensors).", remedy=remedy)
    tensors = OrderedDict((str(name).removeprefix("module."), tensor) for name, tensor in content.items())
    # The versions of the modules, by which load_state_dict knows what to convert (MNASNet insists on them).
    if hasattr(content, "_metadata"):
        vars(tensors)["_metadata"] = vars(content)["_metadata"]
    return tensors


def _safetensors(path: Path, remedy: str) -> dict[str, torch.Tensor]:
    import safetensors  # not needed for bundled models
    import safetensors.torch

    try:
        return safetensors.torch.load_file(path, device="cpu")
    except (safetensors.SafetensorError, OSError, ValueError, KeyError) as error:
        raise _damaged(path, error, remedy) from error


def _damaged(path: Path, error: Exception, remedy: str) -> WeightsError:
    reason = str(error).split("\n", 1)[0][:200] or type(error).__name__
    return WeightsError(f"The weights file {str(path)!r} is damaged, or not a weights file: {reason}", remedy=remedy)
