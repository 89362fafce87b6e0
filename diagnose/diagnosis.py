"""``diagnose``: read the data, run the experiment and the checks, and give the verdict."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from diagnose import escalation, experiments
from diagnose.budget import Budget
from diagnose.check import ALGORITHM_CHECKS, DATA_CHECKS
from diagnose.comparison import proportion
from diagnose.context import Context
from diagnose.findings import Control, Estimate, NotTested, Verdict
from diagnose.laboratory import Laboratory
from diagnose.ladder.climb import DEFAULT_TERMS, Read, Terms, climb, read_ahead
from diagnose.own_run import open_run
from diagnose.predictions import read_all_predictions
from diagnose.rescoring import prediction_findings, rescore
from diagnose.retouching import pictures_of
from diagnose.submission import DATA_ALONE, Submission
from diagnose.verdict import Results, adjudicate
from zoo.blas import one_thread
from zoo.catalog import Card, card
from zoo.data import Dataset, read
from zoo.errors import OptionError, ZooError
from zoo.features import embed
from zoo.neighbours import IntArray
from zoo.progress import ProgressCallback, silent

_SMALL = 20_000  # pictures up to which one thread of linear algebra is as quick as several, and far quicker in company
_FEWEST = 10  # pictures under which nothing can be told
_BACKBONES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """A verdict with what it was drawn from.

    Attributes:
        verdict: The answer.
        context: The data, with all that was computed of it; ``None`` where it could not be looked at.
        seconds_by_check: What each check cost.
    """

    verdict: Verdict
    context: Context | None = None
    seconds_by_check: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Options:
    """What bounds a diagnosis.

    Attributes:
        budget: Seconds that the experiments and checks may take; no limit where ``None``.
        checks: Names of the data checks to run; all where ``None``.
        backbones: Names of the bundled backbones to look with; all that are installed where ``None``.
        full: Whether a stronger reference is fine-tuned where the probe is not good enough, whatever it takes; a budget
            of three minutes or more implies it.
        escalate: What trains the stronger reference; fine-tuning of the best backbone unless given.
        submission: What else the person handed over: log, checkpoint, command, algorithm.
        terms: How that is looked at; its budget is what the data's experiments leave.
    """

    budget: float | None = None
    checks: Sequence[str] | None = None
    backbones: Sequence[str] | None = None
    full: bool = False
    escalate: escalation.Escalate | None = field(default=None, repr=False)
    submission: Submission = DATA_ALONE
    terms: Terms = DEFAULT_TERMS


def diagnose(  # noqa: PLR0913 - each is a thing that a person may hand over
    data: str | Path,
    *,
    predictions: str | Path | None = None,
    target: float | None = None,
    got: float | None = None,
    submission: Submission = DATA_ALONE,
    budget: float | None = None,
    full: bool = False,
    seed: int = 0,
    device: str = "auto",
    offline: bool = False,
    progress: ProgressCallback = silent,
) -> Verdict:
    """Is it the data or the algorithm?

    Args:
        data: Anything that ``zoo.data.read`` takes, or a run folder: its images, predictions, curves and weights.
        predictions: CSV of what your own model says: ``path,label,predicted[,prob:CLASS...]``.
        target: The accuracy that you need, a fraction.
        got: The accuracy that you get, a fraction.
        submission: What else you hand over; an algorithm file (``zoo diagnose --init FILE`` writes one) or a command is
            run.
        budget: Seconds that experiments and checks may take beyond the pass over the pictures.
        full: Fine-tune a stronger reference where the probe is not good enough; a budget of three minutes implies it.
        seed: Seed of everything random.
        device: auto, cpu, cuda, ...
        offline: Make no network call.
        progress: Told how far it is.

    Raises:
        ZooError: The data, the predictions or an option cannot be used; the message says what to do.
    """
    return diagnose_fully(
        data,
        predictions=predictions,
        target=target,
        got=got,
        options=Options(budget=budget, full=full, submission=submission),
        seed=seed,
        device=device,
        offline=offline,
        progress=progress,
    ).verdict


def diagnose_fully(  # noqa: PLR0913 - the ladder has that many rungs
    data: str | Path,
    *,
    predictions: str | Path | None = None,
    target: float | None = None,
    got: float | None = None,
    options: Options = Options(),
    seed: int = 0,
    device: str = "auto",
    offline: bool = False,
    progress: ProgressCallback = silent,
) -> Diagnosis:
    """The same with what the verdict was drawn from, for reports; arguments as above."""
    start = time.perf_counter()
    _check_fraction("target", target)
    _check_fraction("got", got)
    run = open_run(data)
    submission = options.submission if run is None else run.completing(options.submission)
    ahead = read_ahead(submission, offline=offline)
    options = replace(options, submission=submission, terms=replace(options.terms, device=device, offline=offline))
    dataset = read(data, offline=offline, minimum_classes=1) if run is None else run.dataset
    dataset = dataset.select(np.flatnonzero(dataset.labels >= 0))
    files = [Path(predictions)] if predictions is not None else () if run is None else run.predictions
    read_all_predictions(files, dataset)  # a mistake in a file is told before the pass, not after it
    cards = bundled_backbones() if options.backbones is None else [card(name) for name in options.backbones]
    if unlearnable(dataset.labels):
        cards = []  # the pictures are read, as far as reports need them; no model has to look at them
    features = embed(dataset, cards, device=device, offline=offline, progress=progress)
    context = Context(
        dataset=features.dataset,
        statistics=features.statistics,
        embeddings={card.name: features.matrix(card.name) for card in cards},
        predictions=read_all_predictions(files, features.dataset, lenient=True),
        target=target,
        got=got,
        seed=seed,
        progress=progress,
        pictures=pictures_of(features.dataset, cards, device=device, offline=offline),
    )

    def embed_digits(digits: Dataset) -> npt.NDArray[np.floating]:
        return embed(digits, cards[:1], device=device, offline=offline).matrix(cards[0].name)

    control = _positive_control(embed_digits, cards[0]) if cards else None
    if options.escalate is None:
        fine_tuned = partial(escalation.fine_tuned, device=device, offline=offline)
        options = replace(options, escalate=fine_tuned if _worth_training(options) else None)
    return examine(context, positive_control=control, options=options, ahead=ahead, started=start)


def examine(
    context: Context,
    *,
    positive_control: Control | None,
    options: Options = Options(),
    ahead: Read | None = None,
    started: float | None = None,
) -> Diagnosis:
    """The diagnosis of data whose features are at hand.

    Args:
        context: The data; its predictions, target and accuracy where known.
        positive_control: Cell A; without it nothing is ever blamed on the data.
        options: What bounds it.
        ahead: What was read of the submission; it is read now where ``None``.
        started: ``time.perf_counter()`` when the whole began.
    """
    start = time.perf_counter() if started is None else started
    hindrance = unusable(context)
    controls = () if positive_control is None else (positive_control,)
    if hindrance:
        seconds = time.perf_counter() - start
        results = Results(unusable=hindrance, controls=controls, target=context.target, seconds=seconds)
        return Diagnosis(verdict=adjudicate(results), context=context)
    chosen = DATA_CHECKS if options.checks is None else options.checks
    laboratory = Laboratory(context, Budget(options.budget))
    with one_thread() if len(context.dataset) <= _SMALL else nullcontext():
        measured = laboratory.controls()
        findings = laboratory.findings(DATA_CHECKS[name]() for name in chosen)
    probe = measured[0]
    yours, gap = _yours(context, probe.accuracy)
    wanted = escalation.wanted(context.target, probe.accuracy, yours, gap)
    stronger = laboratory.stronger(options.escalate) if wanted else None
    best = probe if stronger is None or not escalation.better(context, stronger) else stronger.control
    known_good = None if stronger is None or best is probe else stronger.predicted
    if known_good is not None:
        yours, gap = _yours(context, best.accuracy, known_good)
    if context.predictions is not None:
        findings = (*findings, *prediction_findings(context, context.predictions, known_good))
    limits = laboratory.limits(best.accuracy)
    results = Results(
        positive_control=None if positive_control is None else positive_control.accuracy,
        positive_line=experiments.POSITIVE_LINE,
        reference=best.accuracy,
        ceiling=None if limits is None else limits.given,
        limits=limits,
        yours=yours,
        gap=gap,
        paired=context.predictions is not None,
        target=context.target,
        controls=(*controls, *measured, *(() if stronger is None else (stronger.control,))),
        findings=findings,
        failures=tuple(laboratory.failures),
        not_tested=(*laboratory.skipped, *_missing_rungs(context)),
        seconds=time.perf_counter() - start,
    )
    terms = replace(options.terms, budget=None if options.budget is None else laboratory.budget.left)
    ahead = ahead or read_ahead(options.submission, offline=terms.offline)
    results = climb(options.submission, ahead, context, results, terms, known_good=known_good)
    results = replace(results, seconds=time.perf_counter() - start)
    return Diagnosis(verdict=adjudicate(results), context=context, seconds_by_check=tuple(laboratory.seconds))


def unlearnable(labels: npt.NDArray[np.integer]) -> str:
    """Why nothing can be learnt of pictures with these labels ``(n,)``, whatever they show; empty where something can."""
    n, counts = len(labels), np.bincount(labels)
    if int((counts > 0).sum()) < 2:
        return f"all {n} pictures have one label; there is nothing to tell apart. Each class needs a folder of its own."
    if n < _FEWEST:
        return f"{n} pictures are too few to learn from and to be judged on; collect at least {_FEWEST}."
    if int((counts >= 2).sum()) < 2:
        return "fewer than two classes have two pictures, one to learn from and one to be judged on."
    return ""


def unusable(context: Context) -> str:
    """Why nothing can be told of this data; empty where something can."""
    n = len(context.dataset)
    if n == 0:
        reasons = sorted({skipped.reason for skipped in context.dataset.skipped})
        return f"no picture can be read ({', '.join(reasons[:3]) or 'there is none'})."
    if reason := unlearnable(context.labels):
        return reason
    if len(np.unique(context.statistics["pixel_hash"])) == 1:
        return f"all {n} pictures are the same picture."
    if len(np.unique(context.labels[context.train])) < 2:
        return "the training pictures have one label; there is nothing to tell apart."
    return ""


def _yours(
    context: Context, reference: Estimate, known_good: IntArray | None = None
) -> tuple[Estimate | None, Estimate | None]:
    """Their accuracy, and the reference's minus theirs: from predictions where there are some, else as stated."""
    if context.predictions is not None:
        return rescore(context, context.predictions, known_good)
    if context.got is None:
        return None, None
    n = len(context.held_out)
    yours = proportion(round(context.got * n), n)
    return yours, reference - yours


def _worth_training(options: Options) -> bool:
    """Whether there is time to fine-tune: it was asked for, or the budget has room for it."""
    return options.full or (options.budget is not None and options.budget >= escalation.SENSIBLE)


def _missing_rungs(context: Context) -> tuple[NotTested, ...]:
    """Causes that need what the person did not hand over."""
    missing = [] if context.predictions is not None else [NotTested(name="label-map", needs="--predictions")]
    for name in ALGORITHM_CHECKS:
        check = ALGORITHM_CHECKS[name]
        flags = " or ".join(sorted(need.value for need in check.needs if need.value.startswith("--")))
        missing += [NotTested(name=cause, needs=flags) for cause in check.causes if flags]
    return tuple({entry.name: entry for entry in missing}.values())


def _positive_control(embed_digits: experiments.Embed, card: Card) -> Control | None:
    """Cell A; ``None`` where it cannot even be run, so that nothing is blamed on the data."""
    from zoo.weights import fingerprint  # torch: seconds that a mistake need not wait for

    try:
        return experiments.positive_control(embed_digits, identity=fingerprint(card))
    except ZooError:
        return None


def bundled_backbones() -> list[Card]:
    """The backbones that a diagnosis looks with unless told otherwise: those of the bundled ones that are installed, the first of which always is."""
    found = [card(name) for name in _BACKBONES]
    return [found[0], *(other for other in found[1:] if other.cached)]


def _check_fraction(name: str, value: float | None) -> None:
    if value is not None and not 0 < value <= 1:
        raise OptionError(
            f"--{name} must be an accuracy between 0 and 1. Got {value:g} instead.",
            remedy=f"For {value:g} % write --{name} {value / 100:g}"
            if 1 < value <= 100
            else f"For example: --{name} 0.9",
        )
