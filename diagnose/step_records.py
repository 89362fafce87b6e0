"""What was noted of a running training, and what it says: plain numbers and names, no tensors."""

from __future__ import annotations

from dataclasses import dataclass

from diagnose.findings import Evidence
from diagnose.probe import Certainty, Observation

#: Share of the samples from which on something is worth a look, and from which on it is sure.
_SOME, _MOST = 0.1, 0.5


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """What was noted at one update.

    Attributes:
        step: Number of the update, from 0.
        loss: The loss function's last value; not a number where it was not seen.
        gradient_norm: Over the sampled tensors.
        training: Whether the model's last forward pass was in training mode.
        zero: Whether every gradient that the optimizer holds was zero or missing.
        finite: Whether every sampled gradient was finite.
        stale: Whether the gradient still held the one of the step before.
    """

    step: int
    loss: float
    gradient_norm: float
    training: bool
    zero: bool
    finite: bool
    stale: bool


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Which of the model's tensors the training reaches, at the last sample.

    Attributes:
        head: Name of the last layer with weights; empty where it was not seen.
        head_trains: Whether the optimizer holds it and a gradient ever reached it.
        forgotten: Names of trainable tensors that the optimizer lacks although it holds earlier ones. A backbone that is
            left out on purpose comes before what trains.
        forgotten_share: Their share of all weights.
        trained: Share of all weights that are trainable and held by the optimizer.
        unreached: Share of the trainable tensors it holds that never had a gradient.
        modes: Whether training and evaluation mode differ in what trains: dropout, or batch-norm under weights that
            mostly train.
    """

    head: str
    head_trains: bool
    forgotten: tuple[str, ...]
    forgotten_share: float
    trained: float
    unreached: float
    modes: bool


def observe(records: list[StepRecord], coverage: Coverage | None = None) -> list[Observation]:
    """Observations from the samples of one training; none where there is no sample."""
    if not records:
        return []
    later = records[1:]
    modes = coverage is None or coverage.modes
    seen = [
        _counted(
            "no-update",
            [r.zero for r in records],
            "updates with no gradient",
            "Call zero_grad() before backward(), not between it and step().",
        ),
        _counted(
            "missing-zero-grad",
            [r.stale for r in later],
            "steps that began with an old gradient",
            "Call zero_grad() after every update.",
        ),
        _counted(
            "train-mode",
            [not r.training and modes for r in later],
            "steps in evaluation mode",
            "Call model.train() before training.",
        ),
        _counted(
            "gradient-flow",
            [not r.finite for r in records],
            "steps with a gradient that is not finite",
            "Lower the learning rate, or clip the gradient's norm.",
        ),
    ]
    return seen if coverage is None else [*seen, _frozen(coverage, sample_size=len(records))]


def _counted(cause: str, flags: list[bool], what: str, remedy: str) -> Observation:
    share = sum(flags) / len(flags) if flags else 0.0
    return Observation(
        cause=cause,
        certainty=Certainty.SURE if share > _MOST else Certainty.HINT if share > _SOME else Certainty.NONE,
        message=f"{what.capitalize()}: {share:.0%} of the samples.",
        remedy=remedy,
        evidence=(Evidence(statistic=what, value=share, reference=_SOME, sample_size=len(flags)),),
    )


def _frozen(coverage: Coverage, *, sample_size: int) -> Observation:
    """A head that does not train is a fault always; what a backbone that stands still is meant to be, nobody can see."""
    certainty = Certainty.NONE
    message = f"{coverage.trained:.0%} of the weights train."
    if coverage.head and not coverage.head_trains:
        certainty = Certainty.SURE
        message = f"The last layer ({coverage.head}) does not train; {coverage.trained:.0%} of all weights do."
    elif coverage.forgotten and coverage.forgotten_share < _MOST:
        certainty = Certainty.HINT
        message = f"The optimizer lacks {', '.join(coverage.forgotten)}, and holds layers before them."
    elif coverage.unreached > _SOME:
        certainty = Certainty.HINT
        message = f"No gradient ever reached {coverage.unreached:.0%} of the tensors in the optimizer."
    return Observation(
        cause="frozen-parameters",
        certainty=certainty,
        message=message,
        remedy="Hand every parameter that should learn to the optimizer, after the model is complete; no detach() or "
        "no_grad() on the way to them.",
        evidence=(
            Evidence(statistic="share of weights that train", value=coverage.trained, sample_size=sample_size),
            Evidence(
                statistic="tensors in the optimizer without a gradient", value=coverage.unreached, reference=_SOME
            ),
        ),
    )
