"""GradientShap: gradients at random points between random baselines and the noisy image.

Lundberg & Lee, "A unified approach to interpreting model predictions", NeurIPS 2017, arXiv:1705.07874.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import GradientShap as CaptumGradientShap

from explain.attribution import METHODS, Attribution, Method, Scorer, Task
from explain.structure import Structure


@dataclass(frozen=True, kw_only=True)
class GradientShap(Method):
    """Expected relevance over baselines from black to white, signed.

    Attributes:
        samples: Random points for each image.
        noise: Standard deviation of the noise, in units of the normalised input.
    """

    resolution = "pixel"

    samples: int = 12
    noise: float = 0.1

    @property
    def _levels(self) -> tuple[float, ...]:
        return (-1.0, -0.5, 0.0, 0.5, 1.0)

    def obstacle(self, structure: Structure) -> str:
        """Fits every differentiable model."""
        del structure
        return ""

    def attribute(self, task: Task) -> Attribution:
        """Maps at the input's resolution."""
        maps = []
        for image, weights in zip(torch.split(task.inputs, 1), torch.split(task.weights, 1), strict=True):
            # Captum draws from the global generators; ``isolated`` puts them back. For each image anew, so that its
            # map does not depend on how many go together.
            torch.manual_seed(task.seed)
            np.random.seed(task.seed % 2**32)  # noqa: NPY002
            baselines = torch.cat([torch.full_like(image, level) for level in self._levels])
            found = CaptumGradientShap(Scorer(task.model)).attribute(
                image.clone().requires_grad_(),
                baselines=baselines,
                n_samples=self.samples,
                stdevs=self.noise,
                additional_forward_args=weights,
            )
            maps.append(found.detach().sum(1).float())
        return Attribution(maps=torch.cat(maps), method="gradient-shap")


METHODS.register("gradient-shap")(GradientShap())
