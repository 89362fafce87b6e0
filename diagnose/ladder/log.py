"""Rung 4: the training's log. What its curves look like, and since when (P12)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from diagnose.calibrated import NEGLIGIBLE
from diagnose.comparison import proportion
from diagnose.context import Context
from diagnose.curve_shapes import CurveJudge, Shape, Sign
from diagnose.curves import Curves
from diagnose.findings import Estimate, Evidence, Finding, NotTested, Outcome, Side
from diagnose.rungs import Rung
from diagnose.verdict import Results

_CHECK = "curves"
_FEWEST = 3


@dataclass(frozen=True, kw_only=True)
class _Meaning:
    """What a shape stands for.

    Attributes:
        broken: Whether it is a failure whatever accuracy was reached.
    """

    cause: str
    sentence: str
    remedy: str
    broken: bool = False


_MEANINGS = {
    Shape.DIVERGED: _Meaning(
        cause="learning-rate",
        sentence="The training diverges",
        remedy="Divide the learning rate by 10{rate}; warm it up over the first epoch; clip the gradient's norm to 1.",
        broken=True,
    ),
    Shape.PLATEAU: _Meaning(
        cause="learning-rate",
        sentence="Nothing is learnt",
        remedy="Try ten times and a tenth of the learning rate{rate}. If neither helps no update reaches the weights: "
        "zoo diagnose DATA --algorithm train.py finds out why.",
        broken=True,
    ),
    Shape.NOISY: _Meaning(
        cause="learning-rate",
        sentence="The loss jumps up and down: the learning rate is too high for the batch size",
        remedy="Divide the learning rate by 3 to 10{rate}, or let it decay; larger batches help too.",
    ),
    Shape.SLOW: _Meaning(
        cause="learning-rate",
        sentence="The loss creeps: the learning rate is too low",
        remedy="Multiply the learning rate by 10{rate}.",
    ),
    Shape.STILL_IMPROVING: _Meaning(
        cause="too-few-epochs",
        sentence="The training was stopped while it still improved",
        remedy="Train twice as long, and stretch the schedule with it.",
    ),
    Shape.OVERFITTING: _Meaning(
        cause="overfitting",
        sentence="The network learns the training pictures by heart",
        remedy="Keep the weights of the best epoch; augment; start from pretrained weights (zoo finetune DATA).",
    ),
    Shape.HELD_BACK: _Meaning(
        cause="regularisation",
        sentence="The network is kept from being sure",
        remedy="Less weight decay (1e-2 for AdamW, 1e-4 else), dropout and label smoothing.",
    ),
    Shape.UNDERFITTING: _Meaning(
        cause="capacity",
        sentence="Not even the training pictures are fitted, and it gets no better",
        remedy="A wider or pretrained network (zoo finetune DATA), less weight decay and dropout, or a higher rate.",
    ),
}
_CAUSES = tuple(dict.fromkeys(meaning.cause for meaning in _MEANINGS.values()))


def log_rung(context: Context, curves: Curves, results: Results) -> Rung:
    """Judge the curves of a training's log.

    A shape is a failure where the training is broken, or stays under the known-good model; else it is a remark.

    Args:
        context: The data.
        curves: Read from the log.
        results: What is known so far.
    """
    longest = max(len(series) for series in (curves.train_loss, curves.validation_loss))
    if longest < _FEWEST:
        short = f"a log of at least {_FEWEST} epochs with their losses"
        return Rung(yours=_reached(context, curves), not_tested=tuple(NotTested(name=c, needs=short) for c in _CAUSES))
    yours = _reached(context, curves)
    under = _under(results, yours)
    signs = CurveJudge()(curves, num_classes=context.num_classes)
    named: dict[str, Finding] = {}
    for sign in signs:
        named.setdefault(_MEANINGS[sign.shape].cause, _finding(sign, curves, under=under))
    silent = (Finding(check=_CHECK, cause=c, side=Side.ALGORITHM, outcome=Outcome.PASS, message="") for c in _CAUSES)
    return Rung(yours=yours, findings=(*named.values(), *(f for f in silent if f.cause not in named)))


def _reached(context: Context, curves: Curves) -> Estimate | None:
    """The last validation accuracy, as if counted on the held-out pictures."""
    values = [value for value in curves.validation_accuracy.values if math.isfinite(value)]
    if not values:
        return None
    n = len(context.held_out)
    return proportion(round(min(1.0, max(0.0, values[-1])) * n), n)


def _under(results: Results, yours: Estimate | None) -> bool:
    """Whether their accuracy, as far as it is known, is significantly under the known-good model's."""
    gap = results.gap
    if gap is None and yours is not None and results.reference is not None:
        gap = results.reference - yours
    return gap is not None and gap.value >= NEGLIGIBLE and gap.interval[0] > 0


def _finding(sign: Sign, curves: Curves, *, under: bool) -> Finding:
    meaning = _MEANINGS[sign.shape]
    rates = curves.learning_rate.values
    rate = f" (it peaked at {max(rates):.2g})" if rates else ""
    return Finding(
        check=_CHECK,
        cause=meaning.cause,
        side=Side.ALGORITHM,
        outcome=Outcome.FAIL if meaning.broken or under else Outcome.REVIEW,
        message=f"{meaning.sentence}, from {curves.unit} {sign.since:g} on: {sign.words} ({curves.source}).",
        remedy=meaning.remedy.format(rate=rate),
        evidence=(Evidence(statistic=sign.statistic, value=sign.value, reference=sign.reference),),
    )
