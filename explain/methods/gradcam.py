"""Grad-CAM: features weighted by the mean of their gradients.

Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization", ICCV 2017,
arXiv:1610.02391.
"""

from __future__ import annotations

from dataclasses import dataclass

from explain.attribution import METHODS, Attribution, Method, Task
from explain.gradients import gradient_at
from explain.structure import Structure


@dataclass(frozen=True, kw_only=True)
class GradCAM(Method):
    """Features weighted by the spatial mean of their gradients, signed.

    The paper's ReLU would hide what speaks against. Captum's ``LayerGradCam`` agrees on convolutional maps, but reads
    NHWC and token layouts along the wrong axis and keeps the whole graph. Known problem: the mean over the grid may
    show places that the score does not use.

    Attributes:
        stage: 0 is the deepest layer that holds a picture, 1 the one of the next finer resolution, ...
    """

    stage: int = 0

    def obstacle(self, structure: Structure) -> str:
        """Needs a layer with a layout that is known."""
        return "" if len(structure.sites) > self.stage else "no layer of this resolution holds a picture"

    def attribute(self, task: Task) -> Attribution:
        """Maps on the layer's grid."""
        site = task.structure.sites[self.stage]
        features, gradients = gradient_at(task, site)
        importance = gradients.mean((2, 3), keepdim=True)
        return Attribution(maps=(features * importance).sum(1), method="gradcam", layer=str(site))


METHODS.register("gradcam")(GradCAM())
