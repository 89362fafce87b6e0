"""The labels of a whole data set, examined once for all checks that ask: in blocks, so that a million images fit.

Classes that cannot be told apart are taken as one class here: that either label is borne is no mistake. It may be one all
the same, and the upper end of the rate allows for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from diagnose.context import Context
from diagnose.findings import Estimate
from diagnose.label_errors import Suspects, suspects
from diagnose.noise import NoiseRate, noise_rate
from diagnose.opinions import FloatArray, IntArray, Judges, Opinions
from diagnose.overlap import Pair, alike, merged, pairs

FEWEST = 60  # images below which nothing is said of the labels
_BLOCK = 20_000
_BACKBONES = 3
_STRENGTH = 0.005  # of the logistic probes on principal components; from 0.002 to 0.03 they rank about as well


@dataclass(frozen=True, kw_only=True)
class Block:
    """Some of the images, chosen at random, and what is thought of them.

    Attributes:
        rows: Their positions, ``(m,)``.
        labels: Their labels, ``(m,)``.
        judges: Classifiers made ready on them.
        opinions: Theirs, under the given labels.
    """

    rows: IntArray
    labels: IntArray
    judges: Judges
    opinions: Opinions


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What is known of the labels.

    Attributes:
        noise: The rate of wrong labels.
        held_out_noise: The rate among the images that accuracy is measured on.
        suspects: Positions of suspect images, the most suspect first, ``(s,)``.
        log_odds: That each of the suspects' labels is right, ``(s,)``.
        suggested: Another label for each, ``(s,)``.
        expected: How many of them are truly wrong, from and to (95 %).
    """

    noise: NoiseRate
    held_out_noise: NoiseRate
    suspects: IntArray
    log_odds: FloatArray
    suggested: IntArray
    expected: tuple[int, int]


def first_block(context: Context) -> Block:
    """At most 20,000 images, chosen at random; all of them where there are no more. Computed once."""
    return context.keep(("first-block",), lambda: next(_blocks(context)))


def confused(context: Context) -> list[Pair]:
    """The most confused pairs of classes, the worst separated first. Computed once."""

    def compute() -> list[Pair]:
        block = first_block(context)
        return pairs(block.opinions, block.labels)

    return context.keep(("confused-pairs",), compute)


def examine(context: Context) -> Examination:
    """Estimate the rate and find the suspects. Computed once.

    Raises:
        ValueError: There are fewer than two classes or no images.
    """
    return context.keep(("examination",), lambda: _examine(context))


def _blocks(context: Context) -> Iterator[Block]:
    n = len(context.dataset)
    count = -(-n // _BLOCK)
    order = np.random.default_rng(context.seed).permutation(n) if count > 1 else np.arange(n)
    for rows in np.array_split(order, count):
        chosen = np.sort(rows)
        features = [context.reduced(name)[chosen] for name in context.backbones[:_BACKBONES]]
        judges = Judges(features, context.folds[chosen], seed=context.seed)
        labels = context.labels[chosen]
        opinions = judges(labels, context.num_classes)
        yield Block(rows=chosen, labels=labels, judges=judges, opinions=opinions)


def _examine(context: Context) -> Examination:
    if context.num_classes < 2 or not len(context.dataset):
        raise ValueError("The examination of labels needs images of two classes.")
    same = alike(confused(context), context.num_classes)
    first = _apart(first_block(context), same, context.num_classes)
    noise = _with_merged(noise_rate(first.opinions, first.labels), same, first.rows)
    held_out = np.isin(first.rows, context.held_out)
    within = noise if held_out.all() else noise_rate(first.opinions.of(held_out), first.labels[held_out])
    parts = [(block, _suspects(context, block, noise)) for block in _every(context, first, same)]
    log_odds = np.concatenate([found.log_odds[found.flagged] for _, found in parts])
    order = np.argsort(log_odds, kind="stable")
    return Examination(
        noise=noise,
        held_out_noise=within,
        suspects=np.concatenate([block.rows[found.flagged] for block, found in parts])[order],
        log_odds=log_odds[order].astype(np.float32),
        suggested=np.concatenate([found.suggested[found.flagged] for _, found in parts])[order],
        expected=(sum(found.expected[0] for _, found in parts), sum(found.expected[1] for _, found in parts)),
    )


def _with_merged(noise: NoiseRate, same: list[Pair], rows: IntArray) -> NoiseRate:
    """The rate, its upper end raised by the labels that would be wrong were each pair of like classes two in truth."""
    (low, high), value = noise.rate.interval, noise.rate.value
    between = sum(pair.mistaken * pair.images for pair in same) / len(rows)
    return replace(noise, rate=Estimate(value=value, interval=(low, min(1.0, high + between))))


def _every(context: Context, first: Block, same: list[Pair]) -> Iterator[Block]:
    """All blocks; where there is one only it is at hand."""
    if len(first.rows) == len(context.dataset):
        return iter([first])
    return (_apart(block, same, context.num_classes) for block in _blocks(context))


def _apart(block: Block, same: list[Pair], num_classes: int) -> Block:
    """The block with one label for classes that are the same."""
    if not same:
        return block
    labels = merged(block.labels, same)
    return replace(block, labels=labels, opinions=block.judges(labels, num_classes))


def _suspects(context: Context, block: Block, noise: NoiseRate) -> Suspects:
    from zoo.probe import out_of_fold  # 1 s of torch that a list of the checks need not pay

    probabilities = [
        out_of_fold(
            context.reduced(name)[block.rows],
            block.labels,
            context.num_classes,
            context.folds[block.rows],
            strength=_STRENGTH,
        )
        for name in context.backbones[:_BACKBONES]
    ]
    return suspects(
        block.judges,
        block.labels,
        noise,
        num_classes=context.num_classes,
        probabilities=probabilities,
        seed=context.seed,
    )
