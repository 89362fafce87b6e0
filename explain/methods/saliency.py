"""Saliency: the size of the gradient at each pixel.

Simonyan, Vedaldi & Zisserman, "Deep inside convolutional networks", arXiv:1312.6034.
"""

from __future__ import annotations

from dataclasses import dataclass

from captum.attr import Saliency as CaptumSaliency

from explain.attribution import METHODS, Attribution, Method, Scorer, Task
from explain.structure import Structure


@dataclass(frozen=True, kw_only=True)
class Saliency(Method):
    """Absolute gradient of the score, summed over channels. Where the score is sensitive, not what it is made of."""

    resolution = "pixel"

    def obstacle(self, structure: Structure) -> str:
        """Fits every differentiable model."""
        del structure
        return ""

    def attribute(self, task: Task) -> Attribution:
        """Maps at the input's resolution, never negative."""
        inputs = task.inputs.requires_grad_()
        found = CaptumSaliency(Scorer(task.model)).attribute(inputs, additional_forward_args=task.weights)
        return Attribution(maps=found.sum(1), method="saliency")


METHODS.register("saliency")(Saliency())
