"""What a training's length says: how long another is tried, and what is not batch-norm's fault."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.faults.registry import source_of
from diagnose.algorithm_context import REFERENCE, AlgorithmContext
from diagnose.probe import Certainty
from diagnose.probes.modes import Modes
from diagnose.probes.rates import Rates
from diagnose.sandbox.measurements import EpochFacts, RunFacts, Variant


def run(variant: Variant, losses: list[float]) -> RunFacts:
    curve = tuple(EpochFacts(loss=x, validation_loss=x, accuracy=0.5, score=None) for x in losses)
    return RunFacts(
        variant=variant, data="theirs", seed=0, images=4, validation=2, finished=True, curve=curve,
        predictions=(0, 1), labels=(0, 0), train_accuracy=0.5, relabelled=0.5, restated=None, flipped=None,
        training_mode=1.0, evaluation_mode=0.0, clipped=0.0, score=None, seconds=1.0, step_seconds=0.01,
    )  # fmt: skip


def tried(theirs: int, known_good: int) -> tuple[Variant, ...]:
    """The longer trainings that are tried where both curves fall steeply to their last epoch."""
    runs = (run(Variant(), [0.5**e for e in range(theirs)]), run(REFERENCE, [0.5**e for e in range(known_good)]))
    (seen,) = [o for o in Rates().observe(AlgorithmContext(num_classes=2, runs=runs)) if o.cause == "too-few-epochs"]
    return seen.changes


@pytest.mark.parametrize(
    ("theirs", "known_good", "factor"), [(1, 10, 10), (4, 10, 3), (3, 15, 5), (1, 15, 10), (12, 10, 2)]
)
def test_a_longer_training_is_at_least_as_long_as_the_known_good_one(theirs, known_good, factor):
    assert tried(theirs, known_good) == (Variant(epochs=factor),)


def test_a_flat_curve_is_not_trained_longer():
    flat = run(Variant(), [0.5, 0.1, 0.05, 0.05, 0.05, 0.05])
    (seen,) = [o for o in Rates().observe(AlgorithmContext(num_classes=2, runs=(flat,))) if o.cause == "too-few-epochs"]

    assert seen.changes == ()


@pytest.mark.parametrize(
    ("losses", "finished", "named"),
    [([0.9, 0.9], True, True), ([0.9, 0.9], False, False), ([0.9, float("nan")], False, True)],
)
def test_the_curve_of_a_training_cut_short_says_nothing_unless_it_diverged(losses, finished, named):
    context = AlgorithmContext(num_classes=2, runs=(replace(run(Variant(), losses), finished=finished),))
    causes = {"learning-rate", "too-few-epochs"} if named else set()
    assert {o.cause for o in Rates().observe(context)} == causes


@pytest.mark.parametrize(
    ("optimizer", "rate", "first"),
    [("Adam", 1.0, 0.001), ("AdamW", 1e-7, 1e4), ("SGD", 1e-5, 1e3), ("SGD", 0.1, 10.0), ("Lion", 1.0, 10.0)],
)
def test_a_rate_that_nobody_chooses_is_first_brought_to_the_usual_one(audited, optimizer, rate, first):
    context = audited(source_of("base"))
    model = replace(context.model, optimizer=optimizer, learning_rate=rate)
    fitted = replace(run(Variant(), [0.5, 0.1, 0.1, 0.1]), train_accuracy=1.0)
    context = replace(context, model=model, runs=(fitted,))
    (seen,) = [o for o in Rates().observe(context) if o.cause == "learning-rate"]
    assert seen.changes[0].learning_rate == pytest.approx(first)
    assert (seen.certainty is Certainty.HINT) == (first != 10.0)


@pytest.mark.parametrize(("epochs", "certainty"), [(1, Certainty.NONE), (2, Certainty.NONE), (8, Certainty.SURE)])
def test_statistics_are_stale_after_a_handful_of_updates_whoever_is_at_fault(audited, epochs, certainty):
    """Thirteen updates an epoch: the initial statistics still make up a quarter after the first, 6 % after the second."""
    stale = replace(
        run(Variant(), [1.0] * epochs),
        images=416,
        validation=200,
        predictions=(1,) * 200,
        labels=(0,) * 200,
        restated=(0,) * 200,
    )
    context = replace(audited(source_of("base")), runs=(stale,))
    (seen,) = [o for o in Modes().observe(context) if o.cause == "batchnorm-statistics"]

    assert seen.certainty is certainty
    assert (seen.points is None) == (certainty is Certainty.NONE)
