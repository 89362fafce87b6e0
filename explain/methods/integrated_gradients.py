"""Integrated Gradients along the straight line from the mean colour to the image.

Sundararajan, Taly & Yan, "Axiomatic attribution for deep networks", ICML 2017, arXiv:1703.01365.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from torch import Tensor

from explain.attribution import METHODS, Attribution, Method, Scorer, Task
from explain.batches import images_a_pass
from explain.structure import Structure

#: Steps are doubled up to this number while the map does not add up.
MOST_STEPS = 256


@dataclass(frozen=True, kw_only=True)
class IntegratedGradients(Method):
    """Signed relevance of each pixel that adds up to the score's rise over a picture of the mean colour.

    Attributes:
        steps: Points on the line, by Gauss-Legendre quadrature.
        tolerance: Completeness error above which the steps are doubled, for the images concerned, up to 256.
    """

    resolution = "pixel"
    memory = 1

    steps: int = 10
    tolerance: float = 0.05

    def obstacle(self, structure: Structure) -> str:
        """Fits every differentiable model."""
        del structure
        return ""

    def attribute(self, task: Task) -> Attribution:
        """Maps at the input's resolution, with their completeness error."""
        explainer = CaptumIntegratedGradients(Scorer(task.model), multiply_by_inputs=True)
        with torch.no_grad():
            rise = explainer.forward_func(task.inputs, task.weights)
            rise = rise - explainer.forward_func(torch.zeros_like(task.inputs), task.weights)
        maps = torch.zeros(len(task.inputs), *task.inputs.shape[2:], device=task.inputs.device)
        error = torch.full_like(rise, torch.inf)
        steps, open_ = self.steps, torch.arange(len(rise), device=rise.device)
        while len(open_):
            maps[open_] = _integrate(explainer, task.inputs[open_], task.weights[open_], steps)
            error[open_] = (maps[open_].sum((1, 2)) - rise[open_]).abs() / rise[open_].abs().clamp_min(1e-6)
            open_ = open_[error[open_] > self.tolerance] if 2 * steps <= MOST_STEPS else open_[:0]
            steps *= 2
        return Attribution(maps=maps, method="integrated-gradients", completeness_error=float(error.median()))


def _integrate(explainer: CaptumIntegratedGradients, inputs: Tensor, weights: Tensor, steps: int) -> Tensor:
    found: Tensor = explainer.attribute(
        inputs.clone().requires_grad_(),
        additional_forward_args=weights,
        n_steps=steps,
        method="gausslegendre",
        internal_batch_size=max(images_a_pass(inputs, 16), len(inputs)),  # caps memory at any number of steps
    )
    return found.detach().sum(1).float()


METHODS.register("integrated-gradients")(IntegratedGradients())
