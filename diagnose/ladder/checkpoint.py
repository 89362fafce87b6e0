"""Rung 5: a trained checkpoint. Preparation, loading, batch-norm and label order, without training anything."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import numpy as np

from diagnose.budget import Budget
from diagnose.checkpoint_audit import LEAST_GAIN, LEAST_RESTATED, BoolArray, CheckpointFacts, Preparation, audit
from diagnose.comparison import accuracy, paired_difference
from diagnose.context import Context
from diagnose.findings import Control, Estimate, Evidence, Finding, Kind, NotTested, Outcome
from diagnose.loading import Loaded
from diagnose.predictions import OwnPredictions
from diagnose.rescoring import known_good_says, prediction_findings
from diagnose.rungs import Rung, algorithm_finding
from diagnose.submission import Checkpoint
from zoo.devices import torch_device
from zoo.neighbours import IntArray

_LEAST_FILLED = 0.5  # share of the model's tensors that the checkpoint must fill
_MOST_CHANGE = 0.02  # of an answer, over the answers' spread, that rounding may explain
_SECONDS = 300.0  # where no budget is given
_finding = partial(algorithm_finding, "checkpoint")
_NEEDS_HEAD = "a checkpoint that ends in one linear layer over your classes"


def checkpoint_rung(
    context: Context,
    checkpoint: Checkpoint,
    loaded: Loaded,
    *,
    budget: float | None,
    device: str = "auto",
    known_good: IntArray | None = None,
) -> Rung:
    """Look at the checkpoint with the person's own pictures and labels.

    Args:
        context: The data.
        checkpoint: How pictures are prepared for the weights.
        loaded: The weights in their architecture.
        budget: Seconds it may take; five minutes where ``None``.
        device: auto, cpu, cuda, ...
        known_good: What a reference stronger than the probe says, ``(n,)``; -1 where it was not asked.

    Raises:
        DeviceError: There is no such device.
    """
    begun, time_left = time.perf_counter(), Budget(_SECONDS if budget is None else budget)
    context.progress("checkpoint", 0, 1)
    facts = audit(loaded, checkpoint, context, device=torch_device(device), budget=time_left)
    truth = context.labels[facts.rows]
    reference = context.correct(context.best)[facts.rows]
    findings = [_loading(loaded, facts, reference), _size(loaded, context.num_classes)]
    rung = Rung(findings=tuple(findings))
    if facts.predicted is None:
        open_ = ("normalisation", "channel-order", "batchnorm-statistics", "mixed-examples", "label-map")
        return replace(rung, not_tested=tuple(NotTested(name=name, needs=_NEEDS_HEAD) for name in open_))
    right = facts.predicted == truth
    findings += [*_preparation(facts, right), *_statistics(facts, right), *_steadiness(facts)]
    if context.predictions is None:
        findings += _predictions(context, facts, known_good)
    both, said = known_good_says(context, facts.rows, known_good)
    gap = paired_difference(said == context.labels[both], right[np.isin(facts.rows, both)])
    return _compared(context, replace(rung, findings=tuple(findings)), gap, _control(checkpoint, facts, right, begun))


def _control(checkpoint: Checkpoint, facts: CheckpointFacts, right: BoolArray, begun: float) -> Control:
    detail = f"{checkpoint.path.name}, {facts.given.name}"
    seconds = time.perf_counter() - begun
    return Control(name="checkpoint", accuracy=accuracy(right), seconds=seconds, detail=detail)


def _compared(context: Context, rung: Rung, gap: Estimate, control: Control) -> Rung:
    """The rung with their accuracy, as far as it is one: where no splits were given it may be of pictures trained on.

    Under the reference all the same it is too low a fortiori; above it says nothing.
    """
    if context.splits_given or gap.interval[0] > 0:
        return replace(rung, controls=(control,), yours=control.accuracy, gap=gap)
    detail = f"{control.detail}, on pictures that it may have been trained on"
    needs = "the split that it was trained with (train/ and val/ folders), or --predictions of pictures it never saw"
    open_ = NotTested(name="accuracy", needs=needs)
    return replace(rung, controls=(replace(control, detail=detail),), not_tested=(*rung.not_tested, open_))


def _loading(loaded: Loaded, facts: CheckpointFacts, reference: BoolArray) -> Finding:
    """P11: how many tensors find their place, and whether the features know more than random ones."""
    filled = Evidence(statistic="share of the model's tensors filled", value=loaded.filled, reference=_LEAST_FILLED)
    if loaded.filled < _LEAST_FILLED:
        message = (
            f"The checkpoint fills {loaded.filled:.0%} of {loaded.card.name}'s tensors; {', '.join(loaded.missing)} stay "
            "as they were made."
        )
        remedy = "Name the architecture that it was saved from (--model), and load it with strict=True."
        return _finding("checkpoint-loading", Outcome.FAIL, message, remedy, filled)
    evidence = (filled, *_knowledge(facts))
    if facts.known is not None and facts.unknown is not None:
        lead = paired_difference(facts.known, facts.unknown)
        behind = paired_difference(reference, facts.known)
        if (lead.value < LEAST_GAIN or lead.interval[0] <= 0) and behind.interval[0] > 0:
            message = (
                f"The checkpoint's features tell your classes apart no better than random weights do "
                f"({facts.known.mean():.1%} against {facts.unknown.mean():.1%} by a linear probe)."
            )
            remedy = (
                "Pretrained weights never got into the model: load them with strict=True and look at what is missing."
            )
            return _finding("checkpoint-loading", Outcome.FAIL, message, remedy, *evidence)
    if loaded.matched < _LEAST_FILLED:
        message = (
            f"Every name begins with {loaded.prefix!r}: load_state_dict(..., strict=False) fills {loaded.matched:.0%} of "
            "the model and says nothing. (Here the prefix was taken off.)"
        )
        remedy = f"Take {loaded.prefix!r} off the names before loading, and load with strict=True."
        return _finding("checkpoint-loading", Outcome.REVIEW, message, remedy, *evidence)
    return _finding("checkpoint-loading", Outcome.PASS, "The checkpoint fills the model.", "", *evidence)


def _knowledge(facts: CheckpointFacts) -> tuple[Evidence, ...]:
    named = (("checkpoint's", facts.known), ("random", facts.unknown))
    return tuple(
        Evidence(
            statistic=f"accuracy of a probe on {name} features",
            value=accuracy(right).value,
            interval=accuracy(right).interval,
            sample_size=len(right),
        )
        for name, right in named
        if right is not None
    )


def _size(loaded: Loaded, num_classes: int) -> Finding:
    evidence = Evidence(statistic="outputs", value=float(loaded.outputs), reference=float(num_classes))
    if loaded.outputs in (0, num_classes):
        outcome = Outcome.PASS if loaded.outputs else Outcome.NOT_APPLICABLE
        return _finding("output-size", outcome, "There is one output a class.", "", evidence)
    message = f"The checkpoint has {loaded.outputs} outputs, the data {num_classes} classes."
    remedy = "Train with a last layer of as many outputs as there are classes, and keep their order with the weights."
    return _finding("output-size", Outcome.FAIL, message, remedy, evidence)


def _preparation(facts: CheckpointFacts, right: BoolArray) -> list[Finding]:
    """P1: another way to prepare the pictures wins."""
    causes = ("normalisation", "channel-order")
    best, correct = facts.best, facts.best_correct
    gain = paired_difference(correct, right) if correct is not None else None
    if best is None or gain is None or gain.value < LEAST_GAIN or gain.interval[0] <= 0:
        message = "No other way to prepare the pictures does better."
        return [_finding(cause, Outcome.PASS, message, "", *_gain_evidence(gain, best)) for cause in causes]
    cause = causes[int(best.flipped)]
    way = best.preprocess
    message = f"Prepared another way the same weights win {100 * gain.value:.1f} points: {best.name}."
    remedy = f"Evaluate with mean={_numbers(way.mean)}, std={_numbers(way.std)}, size={way.size[0]}"
    remedy += ", channels as BGR." if best.flipped else "."
    found = _finding(cause, Outcome.FAIL, message, remedy, *_gain_evidence(gain, best), points=gain)
    other = _finding(causes[int(not best.flipped)], Outcome.PASS, "", "")
    return [found, other]


def _numbers(values: tuple[float, ...]) -> str:
    return f"({', '.join(f'{value:.4g}' for value in values)})"


def _gain_evidence(gain: Estimate | None, best: Preparation | None) -> tuple[Evidence, ...]:
    if gain is None or best is None:
        return ()
    return (
        Evidence(
            statistic=f"accuracy won: {best.name}",
            value=gain.value,
            interval=gain.interval,
            reference=LEAST_GAIN,
            kind=Kind.INTERVENTION,
        ),
    )


def _statistics(facts: CheckpointFacts, right: BoolArray) -> list[Finding]:
    """P10: batch-norm statistics estimated anew win."""
    cause = "batchnorm-statistics"
    if facts.restated is None:
        few = 1 - right.mean() < LEAST_RESTATED
        words = "Too few pictures are wrong for batch-norm statistics estimated anew to win 3 points."
        return [_finding(cause, Outcome.PASS, words, "")] if few else []
    gain = paired_difference(facts.restated, right)
    evidence = Evidence(
        statistic="accuracy won: batch-norm statistics estimated anew",
        value=gain.value,
        interval=gain.interval,
        reference=LEAST_RESTATED,
        kind=Kind.INTERVENTION,
    )
    if gain.value < LEAST_RESTATED or gain.interval[0] <= 0:
        return [_finding(cause, Outcome.PASS, "The batch-norm statistics fit your pictures.", "", evidence)]
    message = f"Batch-norm statistics estimated anew on your training pictures win {100 * gain.value:.1f} points."
    remedy = "Save running_mean and running_var with the weights; train with larger batches, or momentum 0.1."
    return [_finding(cause, Outcome.FAIL, message, remedy, evidence, points=gain)]


def _steadiness(facts: CheckpointFacts) -> list[Finding]:
    """P8: an answer that depends on chance, or on the other pictures of its batch."""
    random = facts.repeat > _MOST_CHANGE
    mixing = not random and facts.mixing > _MOST_CHANGE
    repeat = Evidence(statistic="change between two passes", value=facts.repeat, reference=_MOST_CHANGE)
    mixed = Evidence(statistic="change by neighbours", value=facts.mixing, reference=_MOST_CHANGE)
    return [
        _finding(
            "eval-mode",
            Outcome.FAIL if random else Outcome.PASS,
            f"Two passes over a picture in evaluation mode differ by {facts.repeat:.2g} spreads." if random else "",
            "Use nn.Dropout modules, which eval() turns off, not F.dropout(training=True)." if random else "",
            repeat,
        ),
        _finding(
            "mixed-examples",
            Outcome.FAIL if mixing else Outcome.PASS,
            f"An answer changes by {facts.mixing:.2g} spreads with the batch's other pictures." if mixing else "",
            "Keep dimension 0 for pictures; let batch-norm keep its running statistics." if mixing else "",
            mixed,
        ),
    ]


def _predictions(context: Context, facts: CheckpointFacts, known_good: IntArray | None) -> list[Finding]:
    """What the checkpoint's own predictions show: rung 3 without a file."""
    assert facts.predicted is not None
    predicted = np.full(len(context.dataset), -1, dtype=np.int64)
    predicted[facts.rows] = facts.predicted
    return prediction_findings(context, OwnPredictions(predicted=predicted), known_good)
