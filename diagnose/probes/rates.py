"""How fast and how long: learning rate, schedule, optimizer settings, number of epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from diagnose.algorithm_context import AlgorithmContext
from diagnose.check import ALGORITHM_CHECKS
from diagnose.findings import Evidence
from diagnose.probe import Certainty, Observation, Probe
from diagnose.sandbox.measurements import RunFacts, ScheduleFacts, Variant

TEN_TIMES, TENTH = Variant(learning_rate=10.0), Variant(learning_rate=0.1)
HUNDRED_TIMES, HUNDREDTH = Variant(learning_rate=100.0), Variant(learning_rate=0.01)

#: Learning rates by kind of optimizer: the least and the most that people choose, and one in the middle.
USUAL = (("Adam", (1e-5, 2e-2, 1e-3)), ("RMSprop", (1e-5, 2e-2, 1e-3)), ("SGD", (1e-3, 1.0, 3e-2)))


@ALGORITHM_CHECKS.register("rates")
@dataclass(frozen=True, kw_only=True)
class Rates(Probe):
    """Are the steps of the right size, for long enough?

    What it does: Reads the loss curve (diverged, still falling), the learning rate over the whole training (gone before
    the training is, rising to the end), and the optimizer's settings; then trains with the rate ten times larger and
    smaller, with a known-good optimizer, without their schedule, and for longer.

    A rate that is unusual for its kind of optimizer is brought to the usual one first.

    Why it is bad: Too high a rate diverges or bounces; too low a rate, a schedule that decays in steps what was
    meant in epochs, or too few epochs stop far from the optimum.

    Known problems: Rate, schedule and number of epochs make up for one another: what wins most is named first.

    Remedy: The rate that won; ``EPOCHS`` larger; the schedule stepped in the unit that it was built for.

    References: Smith, Cyclical Learning Rates (arXiv:1506.01186); Bengio, Practical Recommendations (arXiv:1206.5533).

    Attributes:
        gone: Share of the peak under which a rate is as good as zero.
        most_gone: Largest tolerated share of the training at such a rate.
        latest_peak: Share of the training at which the rate must have peaked.
        most_epsilon: Largest epsilon of an Adam that is not suspicious.
        improving: Fall of the validation loss over the last third, as a share, from which on a curve still improves.
        most_epochs: Largest factor on the number of epochs that is tried.
        usual_epochs: As long as which at least is tried, where the known-good recipe was not trained by epochs.
    """

    name = "rates"
    causes = ("learning-rate", "schedule", "optimizer", "too-few-epochs")
    gone: float = 0.01
    most_gone: float = 0.4
    latest_peak: float = 0.6
    most_epsilon: float = 1e-3
    improving: float = 0.15
    most_epochs: int = 10
    usual_epochs: int = 15

    def observe(self, context: AlgorithmContext) -> list[Observation]:
        """The four causes."""
        seen = []
        run = _first(context)
        if context.schedule is not None:
            seen.append(self._schedule(context, context.schedule))
        if context.model is not None:
            seen.append(self._optimizer(context))
        if run is not None and (run.finished or diverged(run)):  # the curve of what was cut short is no curve
            seen += [self._rate(context, run), self._epochs(context, run)]
        return seen

    def _rate(self, context: AlgorithmContext, run: RunFacts) -> Observation:
        high, low = diverged(run), self._creeping(context, run)
        changes = self._changes(run, high=high, low=low)
        unusual = _to_usual(context)
        if unusual is not None:
            near = [c for c in changes if (c.learning_rate > 1) == (unusual.learning_rate > 1) and c != unusual]
            changes = (unusual, *near)
        best = max((c for c in changes if context.gain(c)), key=lambda c: _value(context, c), default=changes[0])
        word = "low" if best.learning_rate > 1 else "high"
        rate = context.model.learning_rate if context.model is not None else 0.0
        return Observation(
            cause="learning-rate",
            certainty=Certainty.HINT if high or low or unusual is not None else Certainty.NONE,
            message=f"The learning rate {rate:g} looks too {word}: {_story(run)}.",
            remedy=f"Try lr={rate * best.learning_rate:.2g}.",
            evidence=(Evidence(statistic="learning rate", value=rate),),
            changes=changes,
        )

    def _changes(self, run: RunFacts, *, high: bool, low: bool) -> tuple[Variant, ...]:
        """Which factors to try, the likeliest first."""
        down, up = (TENTH, HUNDREDTH), (TEN_TIMES, HUNDRED_TIMES)
        if high:
            return down
        if not low:
            return (TEN_TIMES, TENTH)
        # A network stuck at chance may have been blown up in the first steps: those epochs' loss is far above ln C.
        blown = run.curve[0].loss > 1.5 * math.log(max(2, len(set(run.labels))))
        return (*down, *up) if blown else (*up, *down)

    def _creeping(self, context: AlgorithmContext, run: RunFacts) -> bool:
        """One batch is not learnt by heart in a hundred steps, or the training pictures are not even fitted."""
        slow = context.overfit is not None and context.overfit.accuracy < 0.9
        return slow or (run.train_accuracy < 0.9 and self._cut_off(context, run))

    def _cut_off(self, context: AlgorithmContext, run: RunFacts) -> bool:
        """The curve still falls, and not because it was given fewer pictures, and so fewer steps, than it will have."""
        return self._falling(run) and not context.closing

    def _falling(self, run: RunFacts) -> bool:
        losses = [e.validation_loss for e in run.curve]
        if len(losses) < 3 or not all(math.isfinite(x) for x in losses):
            return len(losses) < 3
        third = losses[-max(2, len(losses) // 3) - 1]
        return losses[-1] < (1 - self.improving) * third

    def _epochs(self, context: AlgorithmContext, run: RunFacts) -> Observation:
        falling = self._cut_off(context, run)
        # As long as the known-good recipe at least: a step of the rate cannot stand in for epochs that were never made.
        good = context.known_good
        level = math.ceil((len(good.curve) or self.usual_epochs) / len(run.curve)) if good is not None else 0
        factor = float(min(self.most_epochs, max(3 if len(run.curve) < 5 else 2, level)))
        return Observation(
            cause="too-few-epochs",
            certainty=Certainty.HINT if falling else Certainty.NONE,
            message=f"After {len(run.curve)} epochs the validation loss still falls: {_story(run)}.",
            remedy=f"Train longer: EPOCHS = {round(len(run.curve) * factor)}.",
            evidence=(Evidence(statistic="epochs", value=float(len(run.curve))),),
            changes=(Variant(epochs=factor),) if falling else (),
        )

    def _schedule(self, context: AlgorithmContext, schedule: ScheduleFacts) -> Observation:
        rates = schedule.rates
        peak = max(rates)
        gone = sum(r < self.gone * peak for r in rates) / len(rates)
        late = rates.index(peak) / len(rates) if peak > 1.01 * rates[0] else 0.0
        rising = sum(b > 1.01 * a for a, b in pairwise(rates))
        falling = sum(b < 0.99 * a for a, b in pairwise(rates))
        cycling = min(rising, falling) > 0.3 * len(rates) and len(rates) > 20
        sure = gone > self.most_gone or late > self.latest_peak
        has = context.loaded is not None and "scheduler" in context.loaded.defined
        what = f"it is under 1 % of its peak for {gone:.0%} of the training"
        if late > self.latest_peak:
            what = f"it still rises after {late:.0%} of the training"
        elif cycling:
            what = "it rises and falls over and over"
        return Observation(
            cause="schedule",
            certainty=Certainty.SURE if sure and has else Certainty.HINT if cycling else Certainty.NONE,
            message=f"The learning rate's schedule does not fit {schedule.steps} steps: {what}.",
            remedy='Build the schedule for as many units as it is stepped: `steps` here, or SCHEDULER_UNIT = "epoch".',
            evidence=(Evidence(statistic="share of the training at no rate", value=gone, reference=self.most_gone),),
            changes=(Variant(reference=("scheduler",)),) if has else (),
        )

    def _optimizer(self, context: AlgorithmContext) -> Observation:
        model = context.model
        assert model is not None
        odd = model.optimizer.startswith(("Adam", "NAdam", "RAdam", "RMS")) and model.epsilon > self.most_epsilon
        has = context.loaded is not None and "optimizer" in context.loaded.defined
        # What a factor on the rate mends as well is the rate, not the optimizer.
        return Observation(
            cause="optimizer",
            certainty=Certainty.SURE if odd else Certainty.NONE,
            message=f"{model.optimizer} with epsilon {model.epsilon:g}, learning rate {model.learning_rate:g}.",
            remedy="Try AdamW(lr=1e-3) with its default betas and epsilon.",
            evidence=(Evidence(statistic="epsilon", value=model.epsilon, reference=self.most_epsilon),),
            changes=(Variant(reference=("optimizer",)),) if has or odd else (),
        )


def _to_usual(context: AlgorithmContext) -> Variant | None:
    """The power of ten that brings a rate outside of what is usual for its kind of optimizer to the middle of that."""
    model = context.model
    if model is None or model.learning_rate <= 0 or context.base.learning_rate != 1:
        return None
    if "optimizer" in context.base.reference:
        return None
    least, most, middle = next((u for kind, u in USUAL if kind in model.optimizer), (0.0, math.inf, 1.0))
    if least <= model.learning_rate <= most:
        return None
    return Variant(learning_rate=10.0 ** round(math.log10(middle / model.learning_rate)))


def diverged(run: RunFacts) -> bool:
    """Whether the loss is not finite, or ends above where it began."""
    losses = [e.loss for e in run.curve]
    ours = [e.validation_loss for e in run.curve]
    if not all(math.isfinite(x) for x in (*losses, *ours)):
        return True
    chance = math.log(max(2, len(set(run.labels))))
    return len(losses) > 1 and (losses[-1] > 1.2 * losses[0] or ours[-1] > 3 * chance)


def _story(run: RunFacts) -> str:
    losses = [e.validation_loss for e in run.curve]
    return f"validation loss {losses[0]:.3g} after the first epoch, {losses[-1]:.3g} after the last"


def _value(context: AlgorithmContext, change: Variant) -> float:
    gain = context.gain(change)
    assert gain is not None
    return gain.value


def _first(context: AlgorithmContext) -> RunFacts | None:
    runs = context.runs_of(context.base)
    return runs[0] if runs else None
