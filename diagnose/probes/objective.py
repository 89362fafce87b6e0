"""What is minimised: softmax twice, another loss than meant, labels that point at other classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from diagnose.algorithm_context import AlgorithmContext
from diagnose.check import ALGORITHM_CHECKS
from diagnose.findings import Estimate, Evidence
from diagnose.probe import Certainty, Observation, Probe
from diagnose.sandbox.measurements import LossFacts, Variant


@ALGORITHM_CHECKS.register("objective")
@dataclass(frozen=True, kw_only=True)
class Objective(Probe):
    """Does a smaller loss mean a better answer?

    What it does: Drives the training step with a stand-in model that returns chosen outputs: the right answer with
    growing confidence, no answer, the wrong one. The loss must fall to near zero at the right answer, be larger at
    the wrong one, and its gradient must raise the true class most. Softmax before cross-entropy shows as a loss
    that cannot fall under ln(1 + (C-1)/e) and no longer moves with confidence.

    Why it is bad: Softmax twice flattens the gradient; a flipped sign or wrong label format learns the opposite or
    nothing.

    Known problems: Where the step looks inside the model the loss function alone is probed. Mixup and label
    smoothing are legitimate: the true class is still the one most raised, and the loss still moves with confidence.

    Remedy: Raw logits into ``CrossEntropyLoss``; integer labels from 0; no minus sign.

    References: https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html; Islam et al., A Comprehensive
    Study on Deep Learning Bug Characteristics (FSE 2019).

    Attributes:
        flat: Largest change of the loss, in nats, that counts as none when confidence doubles.
        floor: Share of ln(1 + (C-1)/e) from which on the least loss shows a second softmax.
        least_favoured: Smallest tolerated share of rows whose true class is raised most.
        least_map: Share of rows from which on favoured classes are a map of the labels.
        most_scaling: From this ratio of the loss of 2n to that of n pictures on it is a sum.
        least_lift: Accuracy that the best exchange of classes must win to show a label map.
    """

    name = "objective"
    causes = ("double-softmax", "wrong-loss", "label-map")
    flat: float = 0.02
    floor: float = 0.5
    least_favoured: float = 0.6
    least_map: float = 0.9
    most_scaling: float = 1.6
    least_lift: float = 0.10

    def observe(self, context: AlgorithmContext) -> list[Observation]:
        """The three causes, from the loss audit and the training."""
        seen = []
        if context.loss is not None:
            seen += [self._double(context, context.loss), self._wrong(context, context.loss)]
        return [*seen, *self._mapped(context)]

    def _double(self, context: AlgorithmContext, loss: LossFacts) -> Observation:
        bound = math.log(1 + (context.num_classes - 1) / math.e)
        found = self._sound_gradient(loss) and loss.right > self.floor * bound and abs(loss.slope) < self.flat
        probability = context.model is not None and context.model.domain in {"probabilities", "unit-interval"}
        where = "The model returns probabilities" if probability else "The loss applies softmax to its input twice"
        return Observation(
            cause="double-softmax",
            certainty=Certainty.SURE if found else Certainty.NONE,
            message=f"{where}: the loss cannot fall under {loss.right:.2f} even for perfect answers.",
            remedy="Return raw logits from the model; nn.CrossEntropyLoss applies softmax itself.",
            evidence=(Evidence(statistic="least loss", value=loss.right, unit="nats", reference=self.floor * bound),),
            changes=_loss_swaps(context) if found else (),
        )

    def _wrong(self, context: AlgorithmContext, loss: LossFacts) -> Observation:
        summed = loss.scaling > self.most_scaling
        bottomless = loss.limit < -1  # a negative log-likelihood of what is no log-probability
        broken = bottomless or not math.isfinite(loss.right + loss.wrong) or loss.wrong <= loss.right
        astray = loss.favoured < self.least_favoured and loss.consistent < self.least_map
        sure = broken or astray
        if sure:
            message = (
                f"Only for {loss.favoured:.0%} of the pictures does a step raise the true class most (loss at the "
            )
            message += f"right answer {loss.right:.3g}, at the wrong one {loss.wrong:.3g})."
            remedy = (
                "Minimise a loss that falls as the true class's score rises; check its sign, the labels' format, and that "
                "pictures and labels are shuffled together."
            )
        elif summed:
            message = f"The loss is summed over the batch: {loss.scaling:.1f} times as large for twice the pictures."
            remedy = 'Use reduction="mean", or divide the learning rate by the batch size.'
        else:
            message = "Another loss than plain cross-entropy."
            remedy = "Try nn.CrossEntropyLoss on raw logits."
        return Observation(
            cause="wrong-loss",
            certainty=Certainty.SURE if sure else Certainty.HINT if summed else Certainty.NONE,
            message=message,
            remedy=remedy,
            evidence=(
                Evidence(
                    statistic="rows whose true class is raised", value=loss.favoured, reference=self.least_favoured
                ),
                Evidence(statistic="loss of 2n over loss of n", value=loss.scaling, reference=self.most_scaling),
            ),
            changes=_loss_swaps(context) if sure or summed or _has(context, "loss") else (),
        )

    def _sound_gradient(self, loss: LossFacts) -> bool:
        return loss.favoured >= self.least_favoured and loss.wrong > loss.right

    def _mapped(self, context: AlgorithmContext) -> list[Observation]:
        run, loss = context.theirs, context.loss
        if run is None and loss is None:
            return []
        by_gradient = loss is not None and loss.favoured < self.least_favoured and loss.consistent >= self.least_map
        lift = run.relabelled - run.accuracy if run is not None else 0.0
        # A confused model's classes can always be exchanged to win a little: the errors must halve.
        by_lift = run is not None and lift > self.least_lift and 1 - run.relabelled < 0.5 * (1 - run.accuracy)
        points = None
        if by_lift:
            points = Estimate(value=lift, interval=(lift - 2 * context.spread, lift + 2 * context.spread))
        evidence = [Evidence(statistic="accuracy won by exchanging classes", value=lift, reference=self.least_lift)]
        return [
            Observation(
                cause="label-map",
                certainty=Certainty.SURE if by_gradient or by_lift else Certainty.NONE,
                message=f"Labels mean other classes in training than in validation: exchanging them wins {lift:.1%}.",
                remedy="Build one class-to-index map and use it for training and validation alike.",
                evidence=tuple(evidence),
                points=points,
                changes=_loss_swaps(context) if by_gradient else (),
            )
        ]


def _has(context: AlgorithmContext, part: str) -> bool:
    return context.loaded is not None and part in context.loaded.defined


def _loss_swaps(context: AlgorithmContext) -> tuple[Variant, ...]:
    """Replace the loss function where they have one, then the step, which may compute the loss itself."""
    swaps = [Variant(reference=(part,)) for part in ("loss", "train_step") if _has(context, part)]
    return tuple(swaps) or (Variant(reference=("loss",)),)
