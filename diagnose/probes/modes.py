"""Training and evaluation mode, and the statistics of batch-norm that hang on them."""

from __future__ import annotations

from dataclasses import dataclass

from diagnose.algorithm_context import AlgorithmContext, significant
from diagnose.check import ALGORITHM_CHECKS
from diagnose.findings import Estimate, Evidence, Kind
from diagnose.probe import Certainty, Observation, Probe
from diagnose.sandbox.measurements import ModelFacts, RunFacts, Variant


@ALGORITHM_CHECKS.register("modes")
@dataclass(frozen=True, kw_only=True)
class Modes(Probe):
    """Is the model in training mode when it trains, in evaluation mode when it is scored?

    What it does: Notes the model's mode at every forward pass of the training steps (after the first evaluation) and of
    ``evaluate``; scores the final model with batch-norm statistics estimated anew on training pictures; compares two
    evaluation passes on one batch.

    Why it is bad: In evaluation mode dropout and batch-norm do not train; in training mode scores depend on the
    batch, on chance, and leak into the statistics. Statistics from tiny batches or a frozen momentum do not fit the
    weights.

    Known problems: A model without dropout and batch-norm has no modes. Batch-norm kept in evaluation mode under a
    model that is in training mode is a choice, and silent; so is a whole pretrained model in evaluation mode when
    only its head trains.

    Remedy: ``model.train()`` in the training step, ``model.eval()`` before scoring; batches of at least 8 for
    batch-norm.

    References: Ioffe and Szegedy (arXiv:1502.03167); Wu and Johnson, Rethinking "Batch" in BatchNorm
    (arXiv:2105.07576).

    Attributes:
        least_training: Smallest share of steps in training mode.
        most_scoring: Largest share of scoring passes in training mode.
        least_lift: Accuracy that new statistics must win.
        most_repeat: Largest change between two evaluation passes, relative to the outputs' spread.
        least_batch: Smallest batch that batch-norm can train on.
        most_initial: Largest share of the initial statistics that updates at momentum 0.1 may have left: with fewer
            updates the training is too short, and batch-norm not at fault.
    """

    name = "modes"
    causes = ("train-mode", "eval-mode", "batchnorm-statistics")
    least_training: float = 0.5
    most_scoring: float = 0.5
    least_lift: float = 0.03
    most_repeat: float = 0.02
    least_batch: int = 4
    most_initial: float = 0.05

    def observe(self, context: AlgorithmContext) -> list[Observation]:
        """The three causes, from the model and step audits and the training."""
        if context.model is None:
            return []
        runs = context.runs_of(context.base)
        run = runs[0] if runs else None
        return [
            self._train(context, context.model, run),
            self._eval(context, context.model, run),
            self._statistics(context, context.model, run),
        ]

    def _train(self, context: AlgorithmContext, model: ModelFacts, run: RunFacts | None) -> Observation:
        share = min(run.training_mode if run else 1.0, context.step.training if context.step else 1.0)
        # A frozen backbone in evaluation mode under a head that trains is how probing is done.
        matters = has_modes(model) and (model.optimised > 0.5 * model.parameters or model.dropouts > 0)
        seen = share < self.least_training and matters
        return Observation(
            cause="train-mode",
            certainty=Certainty.SURE if seen else Certainty.NONE,
            message=f"Only {share:.0%} of the training steps find the model in training mode.",
            remedy="Call model.train() at the start of train_step (evaluate left the model in evaluation mode).",
            evidence=(Evidence(statistic="steps in training mode", value=share, reference=self.least_training),),
            changes=(Variant(reference=("train_step",)),) if seen else (),
        )

    def _eval(self, context: AlgorithmContext, model: ModelFacts, run: RunFacts | None) -> Observation:
        share = run.evaluation_mode if run else 0.0
        scored = share > self.most_scoring and has_modes(model)
        random = model.repeat > self.most_repeat
        points = None
        if scored and run is not None and run.score is not None:
            lost = max(run.accuracy - run.score, abs(run.accuracy - run.score))
            points = Estimate(value=lost, interval=(lost - 2 * context.spread, lost + 2 * context.spread))
        message = f"{share:.0%} of the scoring passes find the model in training mode."
        if random and not scored:
            message = "Two passes over one batch in evaluation mode differ: something random ignores the mode."
        return Observation(
            cause="eval-mode",
            certainty=Certainty.SURE if scored or random else Certainty.NONE,
            message=message,
            remedy="Call model.eval() in evaluate before the first batch; F.dropout needs training=self.training.",
            evidence=(
                Evidence(statistic="scoring passes in training mode", value=share, reference=self.most_scoring),
                Evidence(statistic="change between two passes", value=model.repeat, reference=self.most_repeat),
            ),
            points=points,
            changes=(Variant(reference=("model",)),) if random else (),
        )

    def _statistics(self, context: AlgorithmContext, model: ModelFacts, run: RunFacts | None) -> Observation:
        won = context.lift(run, run.restated) if run is not None and run.restated is not None else None
        lift = won.value if won is not None else 0.0
        tiny = context.loaded is not None and context.loaded.batch_size < self.least_batch and model.batchnorms > 0
        stale = won is not None and significant(won, self.least_lift)
        untracked = model.untracked > 0
        # Never having trained in training mode explains wrong statistics: that is named there.
        explained = run is not None and (run.training_mode < self.least_training or self._hardly_begun(context, run))
        points = won if stale and not tiny and not explained else None
        message = f"Batch-norm statistics estimated anew win {lift:.1%}."
        if untracked:
            message = f"{model.untracked} batch-norm layers keep no running statistics: scores depend on the batch."
        elif tiny and context.loaded is not None:
            message = f"Batch-norm trains on batches of {context.loaded.batch_size}."
        sure = (stale or tiny) and not explained
        return Observation(
            cause="batchnorm-statistics",
            certainty=Certainty.SURE if sure else Certainty.HINT if untracked else Certainty.NONE,
            message=message,
            remedy="Larger batches (or GroupNorm), momentum 0.1, track_running_stats=True, train mode when training.",
            evidence=(
                Evidence(
                    statistic="accuracy won by new statistics",
                    value=lift,
                    reference=self.least_lift,
                    kind=Kind.INTERVENTION,
                ),
            ),
            points=points,
            changes=(Variant(reference=("batch_size",)),) if tiny else (),
        )

    def _hardly_begun(self, context: AlgorithmContext, run: RunFacts) -> bool:
        """Whether so few updates were made that statistics are stale at the usual momentum too."""
        batch = context.loaded.batch_size if context.loaded is not None else 32
        return bool(0.9 ** (run.images / batch * len(run.curve)) > self.most_initial)


def has_modes(model: ModelFacts) -> bool:
    """Whether training and evaluation mode differ at all."""
    return model.batchnorms > model.untracked or model.dropouts > 0
