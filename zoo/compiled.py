"""A backbone compiled by OpenVINO: the quickest on most processors, after some seconds of compiling. An extra."""

from __future__ import annotations

import importlib.util
import threading
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from zoo.errors import ModelError
from zoo.lanes import cores
from zoo.preprocess import Preprocess


def installed() -> bool:
    """Whether OpenVINO can be imported."""
    return importlib.util.find_spec("openvino") is not None


class Compiled:
    """Pixels to features, one core a call; may be called from several threads.

    Args:
        module: Float32, on the CPU, in evaluation mode; gives features.
        preprocess: How it wants its images.

    Raises:
        ModelError: OpenVINO cannot compile this model.
    """

    def __init__(self, module: nn.Module, preprocess: Preprocess) -> None:
        import openvino
        from openvino import frontend

        example = torch.zeros(1, preprocess.channels, *preprocess.size)
        try:
            with warnings.catch_warnings():  # it traces the module in a way that PyTorch has deprecated
                warnings.simplefilter("ignore")
                model = openvino.convert_model(module, example_input=example)
        except (RuntimeError, frontend.OpConversionFailure, frontend.GeneralFailure) as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"OpenVINO cannot run this model ({reason}).", remedy="unset ZOO_ENGINE") from error
        # Each lane waits while its own stream computes, so that no more threads are at work than there are cores.
        limits = {
            "NUM_STREAMS": cores(),
            "INFERENCE_NUM_THREADS": cores(),
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": "f32",  # unasked it takes bfloat16 where the processor has it
        }
        self._model = openvino.Core().compile_model(_with_normalisation(model, preprocess), "CPU", limits)
        self._own = threading.local()

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Features ``(n, d)`` of ``(n, height, width, channels)``."""
        if not hasattr(self._own, "request"):
            self._own.request = self._model.create_infer_request()
        features = self._own.request.infer([pixels])[0]
        return np.asarray(features, dtype=np.float32).reshape(len(pixels), -1)


def _with_normalisation(model: Any, preprocess: Preprocess) -> Any:
    """The model with ``Preprocess.normalise`` inside: it takes uint8 pixels, channels last."""
    import openvino
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    scaled = steps.input().preprocess().convert_element_type(openvino.Type.f32)
    scaled.mean([255 * m for m in preprocess.mean]).scale([255 * s for s in preprocess.std])
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    return steps.build()
