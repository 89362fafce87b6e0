"""The network itself: non-linearity, initialisation, the flow of the gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass

from diagnose.algorithm_context import AlgorithmContext
from diagnose.check import ALGORITHM_CHECKS
from diagnose.findings import Evidence
from diagnose.probe import Certainty, Observation, Probe
from diagnose.probes.frozen import is_pretrained
from diagnose.sandbox.measurements import ModelFacts, Variant


@ALGORITHM_CHECKS.register("network")
@dataclass(frozen=True, kw_only=True)
class Network(Probe):
    """Can the network as built learn at all?

    What it does: Counts the non-linear operations between the first and the last layer with weights; looks for weight
    matrices whose entries are all equal; compares the first loss with ln C, which is what a network that knows nothing
    should have; compares the gradients of the first and the last layers; looks for rectifiers that are 0 everywhere, and for
    answers that are the same to every picture.

    Why it is bad: Layers without a non-linearity are one linear layer. Equal weights stay equal. Weights drawn too
    large or too small make the gradient vanish or explode.

    Known problems: A zero last layer, zero residual gains and pretrained weights are legitimate and not looked at. One
    missing rectifier among many is not seen.

    Remedy: A non-linearity after every hidden layer; the layers' default initialisation, or He's for deep plain
    networks.

    References: Glorot and Bengio (AISTATS 2010); He et al. (ICCV 2015, arXiv:1502.01852).

    Attributes:
        least_activations: Non-linear operations for each layer with weights; a ViT has 0.5, a bottleneck ResNet 0.75.
        most_loss: Largest first loss, as a multiple of ln C.
        least_flow: Smallest ratio of the first layers' relative gradient to that of the last; its inverse is the
            largest.
        least_spread: Smallest deviation over pictures of the fresh network's answers, relative to their size, of one that
            cannot learn a batch by heart; a sound one has a tenth or more. None at all is what a zero last layer gives, and
            counts with dead rectifiers only.
        most_dead: Largest share of dead channels in a layer.
        flat_loss: Cross-entropy, as a share of ln C, above which one batch was not learnt by heart.
    """

    name = "network"
    causes = ("non-linearity", "initialisation", "gradient-flow")
    least_activations: float = 0.2
    most_loss: float = 2.5
    least_flow: float = 1e-3
    least_spread: float = 1e-3
    most_dead: float = 0.9
    flat_loss: float = 0.7

    def observe(self, context: AlgorithmContext) -> list[Observation]:
        """The three causes, from the model and step audits."""
        model = context.model
        if model is None:
            return []
        return [self._linear(model), self._initial(context, model), self._flow(context, model)]

    def _linear(self, model: ModelFacts) -> Observation:
        deep = model.weighted >= 2
        share = model.activations / max(1, model.weighted - 1)
        sure = deep and model.activations == 0
        hint = deep and model.weighted >= 4 and share < self.least_activations
        return Observation(
            cause="non-linearity",
            certainty=Certainty.SURE if sure else Certainty.HINT if hint else Certainty.NONE,
            message=f"{model.activations} non-linear operations between {model.weighted} layers with weights.",
            remedy="Put a non-linearity (nn.ReLU) after every hidden layer.",
            evidence=(Evidence(statistic="non-linearities a layer", value=share, reference=self.least_activations),),
            changes=(Variant(reference=("model",)),) if sure or hint else (),
        )

    def _initial(self, context: AlgorithmContext, model: ModelFacts) -> Observation:
        outputs = model.shape[-1] if len(model.shape) == 2 else context.num_classes
        uninformed = math.log(max(context.num_classes, outputs, 2))
        first = context.step.cross_entropy if context.step is not None else uninformed
        # Log-loss of a few nats is common for a new head on large features; far more is not.
        large = not math.isfinite(first) or first > self.most_loss * uninformed + 1
        small = self._vanished(context)
        scratch = not is_pretrained(model)
        # Raw pixels and a heavy dropout make the first loss large too: those have names of their own.
        plain = max(model.input_std, default=1.0) < 3 and model.dropout < 0.7
        sure = bool(model.constant) or (large and scratch and plain)
        what = f"All weights of {', '.join(model.constant)} are equal." if model.constant else ""
        return Observation(
            cause="initialisation",
            certainty=Certainty.SURE if sure else Certainty.HINT if small and scratch else Certainty.NONE,
            message=what or f"The first loss is {first:.3g}; a network that knows nothing has ln C = {uninformed:.2f}.",
            remedy="Keep the layers' default initialisation (no nn.init that sets constants or large deviations).",
            evidence=(
                Evidence(statistic="first loss", value=first, unit="nats", reference=self.most_loss * uninformed + 1),
                Evidence(statistic="constant layers", value=float(len(model.constant)), reference=0.0),
            ),
            changes=(Variant(reset=True),) if sure or small else (),
        )

    def _vanished(self, context: AlgorithmContext) -> bool:
        """One batch could not be learnt, and the gradient is lopsided: what too small weights look like."""
        if context.step is None or context.model is None or not self._stuck(context):
            return False
        flow = context.step.vanishing
        return bool(not 0.01 < flow < 100 or context.model.spread < 0.01)

    def _stuck(self, context: AlgorithmContext) -> bool:
        """Whether one batch could not be learnt by heart."""
        return context.overfit is not None and context.overfit.last_loss > self.flat_loss * math.log(
            context.num_classes
        )

    def _flow(self, context: AlgorithmContext, model: ModelFacts) -> Observation:
        flow = context.step.vanishing if context.step is not None else 1.0
        lopsided = not self.least_flow < flow < 1 / self.least_flow
        dead = model.dead > self.most_dead
        blind = model.spread < self.least_spread and (model.spread > 0 or dead) and self._stuck(context)
        broken = not model.finite or (context.step is not None and not context.step.finite)
        if broken:
            message = "The fresh model's outputs or gradients are not finite."
        elif dead:
            message = f"{model.dead:.0%} of the channels of one rectifier are 0 for every picture."
        elif blind:
            message = (
                f"The fresh network gives every picture the same answer, to {model.spread:.1g} of its size, and cannot "
                "learn one batch by heart: nothing of the picture arrives."
            )
        else:
            message = f"The first layers' relative gradient is {flow:.2g} times that of the last layers."
        seen = broken or dead or lopsided or blind
        sure = broken or blind or (dead and lopsided)
        return Observation(
            cause="gradient-flow",
            certainty=Certainty.SURE if sure else Certainty.HINT if seen else Certainty.NONE,
            message=message,
            remedy="ReLU with batch-norm or residual connections, and default initialisation; no deep sigmoids.",
            evidence=(
                Evidence(statistic="first over last gradient", value=flow, reference=self.least_flow),
                Evidence(statistic="dead channels", value=model.dead, reference=self.most_dead),
                Evidence(statistic="spread of the first answers", value=model.spread, reference=self.least_spread),
            ),
            changes=(Variant(reset=True), Variant(reference=("model",))) if seen else (),
        )
