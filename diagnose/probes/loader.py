"""The training loader: pictures under other labels, no shuffle, pictures that never come."""

from __future__ import annotations

from dataclasses import dataclass

from diagnose.algorithm_context import AlgorithmContext
from diagnose.check import ALGORITHM_CHECKS
from diagnose.findings import Evidence
from diagnose.probe import Certainty, Observation, Probe
from diagnose.sandbox.measurements import Variant


@ALGORITHM_CHECKS.register("loader-order")
@dataclass(frozen=True, kw_only=True)
class LoaderOrder(Probe):
    """Does the loader bring every picture, under its own label, in random order?

    What it does: Gives their loader numbered items instead of pictures, ordered by class as an image folder is, and
    reads two epochs: does each number come with its label, in another order each time, and do all of them come? The
    mix of classes in a batch is compared with that of random batches.

    Why it is bad: Batches of one class at a time make a network forget the others; a shifted label teaches nonsense.

    Known problems: Needs ``build_loader``; a loader that changes the values of the items beyond recognition is not
    judged.

    Remedy: ``DataLoader(dataset, shuffle=True)``; never sort or shuffle pictures without their labels.

    References: Bottou, Stochastic Gradient Descent Tricks (2012), section 4.1.

    Attributes:
        most_misaligned: Largest share of pictures under a wrong label.
        most_purity: Largest share of the commonest class in a batch, over that of random batches.
        least_seen: Smallest share of the pictures in an epoch.
    """

    name = "loader-order"
    causes = ("loader-order",)
    most_misaligned: float = 0.02
    most_purity: float = 1.3
    least_seen: float = 0.8

    def observe(self, context: AlgorithmContext) -> list[Observation]:
        """One observation, from the loader audit."""
        loader = context.loader
        if loader is None or context.loaded is None or "loader" not in context.loaded.defined:
            return []
        astray = loader.misaligned > self.most_misaligned
        sorted_ = not loader.shuffled and loader.purity > self.most_purity
        missing = loader.seen < self.least_seen
        if astray:
            message = f"{loader.misaligned:.0%} of the pictures come with another picture's label."
        elif sorted_:
            message = (
                f"The order is the same every epoch, and a batch's commonest class is {loader.purity:.1f} times as "
            )
            message += "common as in random batches."
        else:
            message = f"An epoch holds {loader.seen:.0%} of the training pictures."
        hint = missing or not loader.shuffled
        return [
            Observation(
                cause="loader-order",
                certainty=Certainty.SURE if astray or sorted_ else Certainty.HINT if hint else Certainty.NONE,
                message=message,
                remedy="DataLoader(dataset, batch_size=..., shuffle=True), pictures and labels from one dataset.",
                evidence=(
                    Evidence(statistic="misaligned", value=loader.misaligned, reference=self.most_misaligned),
                    Evidence(statistic="purity of batches", value=loader.purity, reference=self.most_purity),
                    Evidence(statistic="pictures seen", value=loader.seen, reference=self.least_seen),
                ),
                changes=(Variant(reference=("loader",)),),
            )
        ]
