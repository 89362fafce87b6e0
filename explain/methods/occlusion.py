"""Occlusion: what the score loses when a window turns to the mean colour.

Zeiler & Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, arXiv:1311.2901.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from captum.attr import Occlusion as CaptumOcclusion

from explain.attribution import METHODS, Attribution, Method, Scorer, Task
from explain.structure import Structure


@dataclass(frozen=True, kw_only=True)
class Occlusion(Method):
    """Loss of score for each window, signed. Needs no gradient and no layer: the last resort for every model.

    Attributes:
        windows: Windows along each side; the cost is about the square of it in forward passes.
    """

    resolution = "pixel"
    memory = 4

    windows: int = 5

    def obstacle(self, structure: Structure) -> str:
        """Fits every model."""
        del structure
        return ""

    def attribute(self, task: Task) -> Attribution:
        """Maps at the input's resolution, constant within a window."""
        channels, rows, columns = task.inputs.shape[1:]
        window = (channels, max(1, -(-rows // self.windows)), max(1, -(-columns // self.windows)))
        with torch.no_grad():
            found = CaptumOcclusion(Scorer(task.model)).attribute(
                task.inputs,
                sliding_window_shapes=window,
                strides=window,
                baselines=0.0,
                additional_forward_args=task.weights,
                perturbations_per_eval=4,
            )
        # Captum gives the loss of the window to each of its pixels and channels.
        return Attribution(maps=found.mean(1) / (window[1] * window[2]), method="occlusion")


METHODS.register("occlusion")(Occlusion())
