"""Augmentation that hides the picture, or is not random."""

from __future__ import annotations

from dataclasses import dataclass

from diagnose.algorithm_context import AlgorithmContext
from diagnose.check import ALGORITHM_CHECKS
from diagnose.findings import Evidence
from diagnose.probe import Certainty, Observation, Probe
from diagnose.sandbox.measurements import Variant


@ALGORITHM_CHECKS.register("augmentation")
@dataclass(frozen=True, kw_only=True)
class Augmentation(Probe):
    """Does augmentation leave the picture, and its label, as they are?

    What it does: Correlates each augmented picture with its plain self at 8 x 8; sees whether two loader workers
    draw the same augmentations; and trains with the evaluation transform instead.

    Why it is bad: Crops that miss the object, flips that turn one class into another, or colours beyond recognition
    teach wrong labels. Workers that share one random state halve the variety.

    Known problems: Strong augmentation pays off late: in a short training it may cost accuracy that a long one wins
    back.

    Remedy: Start from a mild crop (scale 0.6 to 1) and a flip where mirror images keep their label; add one at a time.

    References: Cubuk et al., RandAugment (arXiv:1909.13719); Balestriero et al., The Effects of Regularization and Data
    Augmentation are Class Dependent (arXiv:2204.03632).

    Attributes:
        least_similarity: Smallest median correlation of an augmented picture with its plain self.
    """

    name = "augmentation"
    causes = ("augmentation",)
    least_similarity: float = 0.35

    def observe(self, context: AlgorithmContext) -> list[Observation]:
        """One observation, from the transform audit."""
        transform = context.transform
        if transform is None:
            return []
        strong = transform.random_train and transform.similarity < self.least_similarity
        message = f"Augmented pictures correlate {transform.similarity:.2f} with their plain selves."
        if transform.repeated:
            message = "Every loader worker draws the same augmentations: the random state is shared, not seeded anew."
        elif not strong:
            message += " Training on the plain ones does better: a flip or a crop may turn one class into another."
        certainty = Certainty.SURE if transform.repeated else Certainty.HINT if strong else Certainty.NONE
        return [
            Observation(
                cause="augmentation",
                certainty=certainty,
                message=message,
                remedy="Weaken or drop the augmentation; draw from `random` or `torch`, which loader workers seed.",
                evidence=(
                    Evidence(
                        statistic="correlation with the plain picture",
                        value=transform.similarity,
                        reference=self.least_similarity,
                    ),
                ),
                changes=(Variant(augment=False),) if transform.random_train else (),
            )
        ]
