"""Labels that can be told without looking at the content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diagnose import linear
from diagnose.check import DATA_CHECKS, Check, not_applicable, passed
from diagnose.comparison import matched_cost, paired_difference, permutation_p
from diagnose.context import Context
from diagnose.findings import Estimate, Evidence, Example, Finding, Kind, Outcome, Side
from diagnose.nuisances import Columns, nuisances
from diagnose.verdict import judge
from zoo.neighbours import FloatArray, IntArray

_FRAME = frozenset({"border colour", "corner colour"})
_MEANINGLESS = _FRAME | {"file encoding"}


@dataclass(frozen=True, kw_only=True)
class _Skill:
    """What one kind of nuisance tells of the labels.

    Attributes:
        name: Which.
        skill: (balanced accuracy - chance) / (1 - chance), out of fold.
        p: By permuting the labels.
        predicted: The class that it points to, ``(n,)``.
    """

    name: str
    skill: float
    p: float
    predicted: IntArray


@DATA_CHECKS.register("shortcut")
@dataclass(frozen=True, kw_only=True)
class Shortcut(Check[Context]):
    """Labels that the file or the frame gives away: size, encoding, camera, name, brightness, border, corners.

    What it does: predicts the label from such inputs alone, learning from the training pictures, and compares its balanced
    accuracy with that for permuted labels. Where the skill is high an intervention follows. Where there are pictures on
    which the inputs point to the wrong class, the models are tried on those: a model that relies on the shortcut fails
    there, against other pictures of the same classes. Where there are hardly any, and for the colours of the frame, what the
    inputs explain is taken out of the features, against taking out as much by permuted inputs.

    Why it is bad: a model learns the easiest cue. If the cats were scanned and the dogs photographed it learns scanners, and
    the accuracy measured here is not to be had elsewhere.

    Known problems: some such inputs mean something (a cell's size), and a name may simply be the label: a correlation alone
    is a remark. Where the shortcut is perfect, content and nuisance cannot be told apart, and the points are an upper
    bound.

    Remedy: make the pictures alike (one size, one encoding, same background), or collect each class from every source.

    References: Geirhos et al. 2020, doi:10.1038/s42256-020-00257-z; Torralba and Efros 2011,
    doi:10.1109/CVPR.2011.5995347. Cleanlab's check of the same name compares with ``bincount().argmax() / n`` in place of
    the largest share; the baseline here is the permuted labels'.
    """

    name: ClassVar[str] = "shortcut"
    side: ClassVar[Side] = Side.DATA
    causes: ClassVar[tuple[str, ...]] = ("shortcut",)

    noted_skill: float = 0.35
    failing_skill: float = 0.45
    failing_gap: float = 0.1  # accuracy lost where the nuisance points elsewhere
    failing_cost: float = 0.02  # accuracy lost when a frame's colours are taken out of the features
    perfect_skill: float = 0.9  # where hardly any picture contradicts it
    fewest_conflicts: int = 20
    level: float = 0.02
    permutations: int = 50

    def run(self, context: Context) -> list[Finding]:
        """Measure what each nuisance tells, then take the worst out of the features."""
        if context.num_classes < 2 or len(context.dataset) < 50:
            return [not_applicable(self, "There are too few pictures to look for shortcuts.")]
        inputs = nuisances(context)
        if not inputs:
            return [passed(self, "All files are alike in size, encoding, name and frame.")]
        skills = sorted(
            (self._skill(context, name, columns) for name, columns in inputs.items()), key=lambda s: -s.skill
        )
        evidence = tuple(
            Evidence(statistic=f"label from {skill.name}", value=skill.skill, reference=0.0, unit="skill")
            for skill in skills[:4]
        )
        worst = skills[0]
        if worst.skill < self.noted_skill or worst.p > self.level:
            return [passed(self, "Neither files nor frames give the labels away.", evidence=evidence)]
        cost, failing = self._cost(context, worst, inputs[worst.name])
        removed = Evidence(
            statistic=f"accuracy owed to {worst.name}",
            value=cost.value,
            interval=cost.interval,
            unit="points",
            kind=Kind.INTERVENTION,
        )
        return [
            Finding(
                check=self.name,
                cause="shortcut",
                side=self.side,
                outcome=judge(cost) if failing else Outcome.REVIEW,
                message=f"The label can be told from the {worst.name} alone"
                f" ({100 * worst.skill:.0f} % of the way from chance to certainty).",
                remedy="Make the pictures alike in this respect, or collect every class from every source.",
                evidence=(*evidence, removed),
                examples=_examples(context, worst),
                points=cost if failing else None,
            )
        ]

    def _skill(self, context: Context, name: str, columns: Columns) -> _Skill:
        """Skill of one nuisance, learnt from training pictures, with its permutation test; all are fitted at once."""
        labels, n = context.labels, context.num_classes
        rng = np.random.default_rng(context.seed)
        rows = np.sort(rng.permutation(context.train)[:5000])
        vectors = np.stack([labels[rows], *(rng.permutation(labels[rows]) for _ in range(self.permutations))])
        scores = _scores(columns[rows], vectors, context.folds[rows], n)
        balanced = np.array([_balanced(found, truth, n) for found, truth in zip(scores, vectors, strict=True)])
        chance = float(balanced[1:].mean())
        predicted = np.full(len(labels), -1, dtype=np.int64)
        rest = np.setdiff1d(np.arange(len(labels)), rows)
        if len(rest):
            predicted[rest] = _weighed(
                linear.ridge(columns[rows], linear.one_hot(labels[rows], n), columns[rest]), labels[rows]
            )
        predicted[rows] = scores[0]
        return _Skill(
            name=name,
            skill=(float(balanced[0]) - chance) / max(1 - chance, 1e-6),
            p=permutation_p(float(balanced[0]), balanced[1:]),
            predicted=predicted,
        )

    def _cost(self, context: Context, worst: _Skill, columns: Columns) -> tuple[Estimate, bool]:
        """Accuracy that hangs on the nuisance, and whether that makes it a fault."""
        conflict, labels = worst.predicted != context.labels, context.labels
        correct = context.correct(context.best)  # of every image, none of which was seen: more conflicts than held out
        if conflict.sum() >= self.fewest_conflicts:
            gap = matched_cost(correct, labels, conflict, weight=1.0)
            if gap.value >= self.failing_gap or worst.name not in _FRAME:
                return gap, worst.skill >= self.failing_skill and gap.value >= self.failing_gap
        rng = np.random.default_rng(context.seed)
        x, folds = context.reduced(context.best), context.folds
        kept = [_residual(x, columns[rng.permutation(len(columns))]), _residual(x, columns)]
        right = [
            linear.cross_predict(features, context.labels, folds, context.num_classes) == context.labels
            for features in kept
        ]
        cost = paired_difference(right[0], right[1])
        if worst.name in _FRAME:
            return cost, worst.skill >= self.failing_skill and cost.value >= self.failing_cost
        return cost, worst.name in _MEANINGLESS and worst.skill >= self.perfect_skill


def _scores(columns: Columns, vectors: IntArray, folds: IntArray, num_classes: int) -> IntArray:
    """Out-of-fold predictions for several label vectors ``(v, n)``, balanced over the classes, ``(v, n)``."""
    count, n = vectors.shape
    targets = np.concatenate([linear.one_hot(vector, num_classes) for vector in vectors], axis=1)
    predicted = np.zeros((n, count, num_classes), dtype=np.float32)
    for fold in np.unique(folds):
        test = folds == fold
        predicted[test] = linear.ridge(columns[~test], targets[~test], columns[test]).reshape(-1, count, num_classes)
    return _weighed(predicted, vectors[0]).T


def _weighed(scores: FloatArray, labels: IntArray) -> IntArray:
    """The class whose score stands out most against how frequent it is, or the largest class would win everywhere."""
    share = np.bincount(labels, minlength=scores.shape[-1]) / max(len(labels), 1)
    return np.asarray(((scores - share) / np.sqrt(share * (1 - share) + 1e-9)).argmax(axis=-1), dtype=np.int64)


def _balanced(predicted: IntArray, truth: IntArray, num_classes: int) -> float:
    """Mean recall of the classes that occur."""
    seen = np.bincount(truth, minlength=num_classes)
    right = np.bincount(truth[predicted == truth], minlength=num_classes)
    return float((right[seen > 0] / seen[seen > 0]).mean())


def _residual(features: FloatArray, columns: Columns) -> FloatArray:
    """The features without what the inputs explain of them linearly, ``(n, r)``."""
    centred = columns - columns.mean(axis=0)
    gram = centred.T @ centred / len(centred) + 1e-3 * np.eye(centred.shape[1], dtype=np.float32)
    weights = np.linalg.solve(gram, centred.T @ (features - features.mean(axis=0)) / len(centred))
    without: FloatArray = features - centred @ weights.astype(np.float32)
    return without


def _examples(context: Context, skill: _Skill) -> tuple[Example, ...]:
    """Pictures whose label the nuisance gives away, one class after the other."""
    right = np.flatnonzero(skill.predicted == context.labels)
    names = context.dataset.classes
    chosen = [right[context.labels[right] == label][:2] for label in range(context.num_classes)]
    return tuple(
        Example(path=context.paths[i], note=f"{names[context.labels[i]]}, by its {skill.name}")
        for rows in chosen[:6]
        for i in rows
    )
