"""HiResCAM: features times their gradients, cell by cell.

Draelos & Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks",
arXiv:2011.08891.
"""

from __future__ import annotations

from dataclasses import dataclass

from explain.attribution import METHODS, Attribution, Method, Task
from explain.gradients import gradient_at
from explain.structure import Structure


@dataclass(frozen=True, kw_only=True)
class HiResCAM(Method):
    """Sum over channels of features times gradients, signed.

    With a linear head after a mean, the cells add up to the score without its bias: the map is then exact. It is as
    coarse as the layer's grid.

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
        return Attribution(maps=(features * gradients).sum(1), method="hirescam", layer=str(site))


METHODS.register("hirescam")(HiResCAM())
METHODS.register("hirescam-1")(HiResCAM(stage=1))
