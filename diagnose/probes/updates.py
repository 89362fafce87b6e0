"""Gradients that are never reset, and updates that change nothing."""

from __future__ import annotations

from dataclasses import dataclass

from diagnose.algorithm_context import AlgorithmContext
from diagnose.check import ALGORITHM_CHECKS
from diagnose.findings import Evidence
from diagnose.probe import Certainty, Observation, Probe
from diagnose.sandbox.measurements import StepFacts, Variant


@ALGORITHM_CHECKS.register("updates")
@dataclass(frozen=True, kw_only=True)
class Updates(Probe):
    """Does every training step reset the gradient, and move the weights?

    What it does: Runs the training step six times on one batch (up to 64 where nobody steps sooner) and watches each
    update. The first backward pass after an update must leave just the new gradient; an update must find a gradient
    that is not zero, and change the weights.

    Why it is bad: Without ``zero_grad`` the steps follow the sum of all gradients so far. With ``zero_grad`` between
    ``backward`` and ``step``, or without ``step``, nothing is learned at all.

    Known problems: A step that resets only some parameters is judged by the eight largest tensors. Gradient
    accumulation is legitimate and silent: only the first backward after an update counts.

    Remedy: ``optimizer.zero_grad()`` before ``loss.backward()``, ``optimizer.step()`` after it.

    References: Zhang et al., An Empirical Study on TensorFlow Program Bugs (ISSTA 2018); Cao et al., DeepFD (ICSE
    2022).

    Attributes:
        most_stale: Largest tolerated share of updates after which the old gradient was kept.
        most_empty: Largest tolerated share of updates with no gradient.
    """

    name = "updates"
    causes = ("missing-zero-grad", "no-update")
    most_stale: float = 0.5
    most_empty: float = 0.5

    def observe(self, context: AlgorithmContext) -> list[Observation]:
        """Both causes, from the step audit."""
        step = context.step
        if step is None:
            return []
        # An optimizer of another model resets that model's gradients: what then piles up here is no fault of its own.
        strange = context.model is not None and context.model.optimised == 0
        return [self._update(step)] if strange else [self._stale(step), self._update(step)]

    def _stale(self, step: StepFacts) -> Observation:
        seen = step.stale > self.most_stale
        return Observation(
            cause="missing-zero-grad",
            certainty=Certainty.SURE if seen else Certainty.NONE,
            message=f"After {step.stale:.0%} of the updates the next backward pass adds to the old gradient.",
            remedy="Call optimizer.zero_grad() in train_step, before loss.backward().",
            evidence=(_evidence("updates with an old gradient", step.stale, self.most_stale, step.updates),),
            changes=(Variant(reference=("train_step",)),) if seen else (),
        )

    def _update(self, step: StepFacts) -> Observation:
        if step.updates == 0:
            message = f"optimizer.step() was never called in {step.calls} training steps."
            remedy = "Call optimizer.step() after loss.backward()."
        elif step.empty > self.most_empty:
            message = f"At {step.empty:.0%} of the updates there was no gradient."
            remedy = "Call optimizer.zero_grad() before loss.backward(), not between it and optimizer.step()."
        else:
            message = f"{step.updates} updates changed no weight at all."
            remedy = "Give the optimizer the parameters of the model that is trained, and a learning rate above 0."
        # What comes back in float32 was lost to the number format, which has a name of its own.
        seen = not step.rescued and (step.updates == 0 or step.empty > self.most_empty or step.moved == 0)
        part = "train_step" if step.updates == 0 or step.empty > self.most_empty else "optimizer"
        return Observation(
            cause="no-update",
            certainty=Certainty.SURE if seen else Certainty.NONE,
            message=message,
            remedy=remedy,
            evidence=(
                _evidence("updates without a gradient", step.empty, self.most_empty, step.updates),
                _evidence("tensors that moved", step.moved, 0.0, step.updates),
            ),
            changes=(Variant(reference=(part,)),) if seen else (),
        )


def _evidence(statistic: str, value: float, reference: float, size: int) -> Evidence:
    return Evidence(statistic=statistic, value=value, reference=reference, sample_size=size)
