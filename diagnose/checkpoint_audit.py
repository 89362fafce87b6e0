"""A trained checkpoint on the person's own pictures: what it scores, prepared in other ways, and what its features know.

Nothing is trained but a closed-form probe, and no weight is changed but batch-norm's statistics, on a copy. What cannot
win what it must, because too few pictures are wrong, is not tried.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from diagnose import linear
from diagnose.batchnorm import has_statistics, restate
from diagnose.budget import Budget
from diagnose.comparison import paired_difference
from diagnose.context import Context
from diagnose.loading import Loaded, untrained
from diagnose.submission import Checkpoint
from zoo.classifier import embed
from zoo.data.decode import UnusableImage, decode
from zoo.data.files import read_file
from zoo.errors import ModelError
from zoo.neighbours import IntArray, reduce
from zoo.predict import decoded_side
from zoo.preprocess import Preprocess

BoolArray = npt.NDArray[np.bool_]
_BATCH = 32
_SCREENED = 128  # pictures that choose among the ways of preparing; the chosen one is judged on all
LEAST_GAIN = 0.02  # accuracy that another preparation must win
LEAST_RESTATED = 0.03  # that batch-norm statistics estimated anew must win
_RESTATING = 256  # training pictures that they are estimated on


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """A way to prepare pictures.

    Attributes:
        name: In a few words.
        flipped: Whether blue comes first.
    """

    name: str
    preprocess: Preprocess
    flipped: bool = False


@dataclass(frozen=True, kw_only=True)
class CheckpointFacts:
    """What was measured. Accuracies are on the pictures at ``rows``; ``None`` where the head does not fit the classes.

    Attributes:
        rows: Held-out positions that could be read, ``(m,)``.
        predicted: Class of each, prepared as the person said, ``(m,)``.
        best: The preparation that does best, if another than the person's; ``best_correct`` says where it is right.
        restated: Where it is right once batch-norm's statistics were estimated anew, ``(m,)``; ``None`` without them.
        mixing: Largest change of a picture's answer by its neighbours in the batch, over the answers' spread.
        repeat: The same between two passes in evaluation mode.
        known: Where a probe on the checkpoint's features is right, ``(m,)``; ``unknown`` on random weights' features.
            Only looked at where the checkpoint is behind the reference.
    """

    rows: IntArray
    given: Preparation
    predicted: IntArray | None = None
    best: Preparation | None = None
    best_correct: BoolArray | None = None
    restated: BoolArray | None = None
    mixing: float = 0.0
    repeat: float = 0.0
    known: BoolArray | None = None
    unknown: BoolArray | None = None


def prepared(checkpoint: Checkpoint, own: Preprocess) -> Preparation:
    """The person's own way; where they said nothing, the model's."""
    size = own.size if checkpoint.size is None else (checkpoint.size, checkpoint.size)
    named = replace(own, size=size, mean=checkpoint.mean or own.mean, std=checkpoint.std or own.std)
    return Preparation(name="as you said" if named != own else "the model's own", preprocess=named)


def alternatives(given: Preparation, own: Preprocess) -> tuple[Preparation, ...]:
    """Other ways that people prepare pictures, each only once."""
    base = given.preprocess
    channels = base.channels
    ways = [Preparation(name="the model's own mean, std and size", preprocess=own)]
    ways += [
        Preparation(name=f"mean {mean}, std {std}", preprocess=replace(base, mean=mean, std=std))
        for mean, std in (
            (own.mean, own.std),
            ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ((0.5,) * channels, (0.5,) * channels),
            ((0.0,) * channels, (1.0,) * channels),
            ((0.0,) * channels, (1 / 255,) * channels),
        )
        if len(mean) == channels
    ]
    if channels == 3:
        ways.append(Preparation(name="blue first (BGR)", preprocess=base, flipped=True))
    seen, chosen = {(base, False)}, []
    for way in ways:
        if (way.preprocess, way.flipped) not in seen:
            seen.add((way.preprocess, way.flipped))
            chosen.append(way)
    return tuple(chosen)


def audit(
    loaded: Loaded,
    checkpoint: Checkpoint,
    context: Context,
    *,
    device: torch.device,
    budget: Budget,
    most: int = 400,
) -> CheckpointFacts:
    """Measure everything, the most telling first, for as long as there is time.

    Args:
        loaded: The model.
        checkpoint: How pictures are prepared for it.
        context: The pictures and their labels.
        device: Where it runs.
        budget: Time for all of it.
        most: Held-out, and training, pictures at most.
    """
    given = prepared(checkpoint, loaded.card.preprocess)
    held = _Pictures(context, _some(context, context.held_out, most))
    bench = _Bench(loaded.model.to(device), device)
    facts = CheckpointFacts(rows=held.rows, given=given)
    if not len(held.rows):
        return facts
    try:
        right: BoolArray | None = None
        if loaded.outputs == context.num_classes:
            predicted = _predicted(bench, held, given, checkpoint, context)
            facts = replace(facts, predicted=predicted)
            right = np.equal(predicted, context.labels[held.rows])
            ways = () if checkpoint.as_trained else alternatives(given, loaded.card.preprocess)
            facts = _scored(facts, bench, held, right, context, ways, budget)
        reference = context.correct(context.best)[held.rows]
        # Weights whose answers keep up with the reference's are not random.
        if budget.left > 0 and (right is None or paired_difference(reference, right).interval[0] > 0):
            facts = _featured(facts, bench, held, context, loaded, most)
    finally:
        loaded.model.cpu()
    return facts


class _Pictures:
    """Decoded pictures of a context, kept in memory; those that cannot be read are left out."""

    def __init__(self, context: Context, rows: IntArray) -> None:
        kept = [(row, image) for row in rows if (image := _decoded(context, int(row))) is not None]
        self.rows = np.array([row for row, _ in kept], dtype=np.int64)
        self.images = [image for _, image in kept]


def _decoded(context: Context, row: int) -> object | None:
    dataset = context.dataset
    try:
        return decode(read_file(dataset.file(dataset.samples[row])), short_side=decoded_side())
    except (UnusableImage, OSError):
        return None


def _some(context: Context, rows: IntArray, most: int) -> IntArray:
    """At most so many, drawn at random, in order."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(context.seed).permutation(rows)[:most])


class _Bench:
    """Runs a model over pictures."""

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        self.model, self.device = model, device

    @torch.no_grad()
    def run(self, images: Sequence[object], way: Preparation, call: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Outputs for the images, float32 on the CPU; the model is used in the mode that it is in."""
        rows = []
        for start in range(0, len(images), _BATCH):
            pixels = np.stack([way.preprocess.pixels(image) for image in images[start : start + _BATCH]])  # type: ignore[arg-type]
            batch = way.preprocess.normalise(torch.from_numpy(pixels).to(self.device))
            rows.append((call or self.model)(batch.flip(1) if way.flipped else batch).float().cpu())
        return torch.cat(rows)

    def predicted(self, images: Sequence[object], way: Preparation) -> IntArray:
        classes: IntArray = self.run(images, way).argmax(1).numpy()
        return classes


def _predicted(
    bench: _Bench, held: _Pictures, given: Preparation, checkpoint: Checkpoint, context: Context
) -> IntArray:
    """Class of each picture: what the run wrote down, where the weights still say so of a batch; else asked anew."""
    told = None if context.predictions is None else context.predictions.predicted[held.rows]
    if checkpoint.as_trained and told is not None and (told >= 0).all():
        few = held.images[:_BATCH]
        if np.array_equal(bench.predicted(few, given), told[: len(few)]):
            return told
    return bench.predicted(held.images, given)


def _scored(
    facts: CheckpointFacts,
    bench: _Bench,
    held: _Pictures,
    right: BoolArray,
    context: Context,
    ways: Sequence[Preparation],
    budget: Budget,
) -> CheckpointFacts:
    truth, given = context.labels[held.rows], facts.given
    repeat, mixing = _steadiness(bench, held.images, given)
    facts = replace(facts, repeat=repeat, mixing=mixing)
    to_win = 1 - float(right.mean())
    few = held.images[:_SCREENED]
    scores = {given: float(right[: len(few)].mean())}
    for way in ways:
        if budget.left > 0 and to_win >= LEAST_GAIN:
            scores[way] = float((bench.predicted(few, way) == truth[: len(few)]).mean())
    best = max(scores, key=lambda way: scores[way])
    if best is not given and scores[best] > scores[given]:
        facts = replace(facts, best=best, best_correct=bench.predicted(held.images, best) == truth)
    if budget.left > 0 and to_win >= LEAST_RESTATED and has_statistics(bench.model):
        train = _training(context, held, _RESTATING)
        facts = replace(facts, restated=_restated(bench, train.images, held.images, given, truth))
    return facts


def _training(context: Context, held: _Pictures, most: int) -> _Pictures:
    return _Pictures(context, _some(context, np.setdiff1d(context.train, held.rows), most))


def _steadiness(bench: _Bench, images: Sequence[object], way: Preparation) -> tuple[float, float]:
    """How far answers depend on chance, and on the company they are in."""
    few = images[: 2 * (min(len(images), 16) // 2)]
    if len(few) < 4:
        return 0.0, 0.0
    half = len(few) // 2
    together, again, alone = bench.run(few, way), bench.run(few, way), bench.run(few[:half], way)
    size = float(together.std().clamp_min(1e-6))
    return float((together - again).abs().max()) / size, float((together[:half] - alone).abs().max()) / size


def _restated(
    bench: _Bench, train: Sequence[object], held: Sequence[object], way: Preparation, truth: IntArray
) -> BoolArray | None:
    anew = _Bench(copy.deepcopy(bench.model), bench.device)
    anew.model.train()
    some = train[: max(_BATCH, len(train) // _BATCH * _BATCH)]  # no last batch of one picture
    if len(some) < 2 or not restate(anew.model, lambda: anew.run(some, way)):
        return None
    anew.model.eval()
    right: BoolArray = anew.predicted(held, way) == truth
    return right


def _featured(
    facts: CheckpointFacts, bench: _Bench, held: _Pictures, context: Context, loaded: Loaded, most: int
) -> CheckpointFacts:
    """A probe on the checkpoint's features, and on those of the same architecture with random weights."""
    train = _training(context, held, most)
    if len(train.rows) < 2 * context.num_classes:
        return facts
    random = _Bench(untrained(loaded.card, seed=context.seed).to(bench.device), bench.device)
    known, unknown = (_probed(b, held, train, facts.given, context) for b in (bench, random))
    return replace(facts, known=known, unknown=unknown)


def _probed(bench: _Bench, held: _Pictures, train: _Pictures, way: Preparation, context: Context) -> BoolArray | None:
    def features(images: Sequence[object]) -> npt.NDArray[np.float32]:
        return bench.run(images, way, lambda batch: embed(bench.model, batch)).numpy()

    try:
        both = np.concatenate([features(train.images), features(held.images)])
    except ModelError:
        return None  # feature maps, not one vector a picture
    if not np.isfinite(both).all():
        return np.zeros(len(held.rows), dtype=bool)
    x = reduce(both, seed=context.seed)
    guessed = linear.predict(
        x[: len(train.rows)], context.labels[train.rows], x[len(train.rows) :], context.num_classes
    )
    right: BoolArray = guessed == context.labels[held.rows]
    return right
