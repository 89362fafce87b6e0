"""Input times gradient.

Shrikumar et al., "Not just a black box: learning important features through propagating activation differences",
arXiv:1605.01713.
"""

from __future__ import annotations

from dataclasses import dataclass

from captum.attr import InputXGradient as CaptumInputXGradient

from explain.attribution import METHODS, Attribution, Method, Scorer, Task
from explain.structure import Structure


@dataclass(frozen=True, kw_only=True)
class InputXGradient(Method):
    """Normalised pixel times its gradient, signed. Exact for a linear model, against a baseline of the mean colour."""

    resolution = "pixel"

    def obstacle(self, structure: Structure) -> str:
        """Fits every differentiable model."""
        del structure
        return ""

    def attribute(self, task: Task) -> Attribution:
        """Maps at the input's resolution."""
        inputs = task.inputs.requires_grad_()
        found = CaptumInputXGradient(Scorer(task.model)).attribute(inputs, additional_forward_args=task.weights)
        return Attribution(maps=found.sum(1).detach(), method="input-x-gradient")


METHODS.register("input-x-gradient")(InputXGradient())
