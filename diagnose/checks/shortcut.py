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
from diagnose.nuisances import Columns, middle, nuisances
from diagnose.retouching import TOUCHES, retouched
from diagnose.verdict import judge
from zoo.neighbours import FloatArray, IntArray

_LIGHT, _FRAME = "brightness and contrast", frozenset({"border colour", "corner colour"})
#: What a network does not see itself; where it points elsewhere, a model that relies on what goes with it fails.
_UNSEEN = frozenset({"file encoding", "camera", "capture time", "file name"})


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


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """What an experiment with one nuisance showed.

    Attributes:
        skill: Of the nuisance.
        followed: Accuracy lost where the nuisance points to another class.
        points: Accuracy lost were it no longer tied to the class.
    """

    skill: _Skill
    followed: Estimate
    points: Estimate


@DATA_CHECKS.register("shortcut")
@dataclass(frozen=True, kw_only=True)
class Shortcut(Check[Context]):
    """Labels that the file or the frame gives away: encoding, camera, name, brightness, border, corners, size.

    What it does: predicts the label from such inputs alone, learning from the training pictures, and compares its balanced
    accuracy with that for permuted labels. Where the skill is high an experiment follows, and only that makes it a fault.
    A border or corners must tell more than the colours in the middle of the pictures do, or they are part of what is shown.
    For light, border and corners some held-out pictures are given those of another class's picture, and again those of
    another picture of their own class: a model that relies on them loses accuracy by the first and not by the second. For
    camera, time, name and encoding the models are tried on pictures where these point to the wrong class, against others of
    the same classes.

    Why it is bad: a model learns the easiest cue. If the cats were scanned and the dogs photographed it learns scanners, and
    the accuracy measured here is not to be had elsewhere.

    Known problems: what is tied to the class may be part of it (a cell's size, the light at night). A correlation alone is
    a remark, so is the size of the pictures, with which no experiment is made, and light that does not tell nearly all
    labels. Where camera, time, name or encoding
    hardly ever contradict the label, content and nuisance cannot be told apart. Points are what would be lost were the
    nuisance of random pictures: a mark larger than what is exchanged costs more.

    Remedy: make the pictures alike (one encoding, one exposure, same background), or collect each class from every source.

    References: Geirhos et al. 2020, doi:10.1038/s42256-020-00257-z; Torralba and Efros 2011,
    doi:10.1109/CVPR.2011.5995347; backgrounds exchanged between classes: Xiao et al. 2021, arXiv 2006.09994. Cleanlab's
    check of the same name compares with ``bincount().argmax() / n`` in place of the largest share; the baseline here is the
    permuted labels'.
    """

    name: ClassVar[str] = "shortcut"
    side: ClassVar[Side] = Side.DATA
    causes: ClassVar[tuple[str, ...]] = ("shortcut",)

    noted_skill: float = 0.35
    failing_skill: float = 0.45
    failing_lead: float = 0.15  # skill of a frame's colours beyond that of the colours in the middle
    failing_light: float = 0.95  # skill of the light, which is often part of what is to be seen
    failing_gap: float = 0.1  # accuracy lost where the nuisance is another class's
    fewest_conflicts: int = 20
    level: float = 0.02
    permutations: int = 50
    retouched: int = 100  # pictures that are changed for one nuisance, twice each
    trials: int = 3  # nuisances that are tried at most, the most telling first, until one is confirmed

    def run(self, context: Context) -> list[Finding]:
        """Measure what each nuisance tells, then try whether the models follow the most telling ones."""
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
        if skills[0].skill < self.noted_skill or skills[0].p > self.level:
            return [passed(self, "Neither files nor frames give the labels away.", evidence=evidence)]
        tried = self._tried(context, skills)
        worst = next((trial for trial in tried if self._follows(trial)), None)
        skill = skills[0] if worst is None else worst.skill
        return [
            Finding(
                check=self.name,
                cause="shortcut",
                side=self.side,
                outcome=Outcome.REVIEW if worst is None else judge(worst.points),
                message=f"The label can be told from the {skill.name} alone"
                f" ({100 * skill.skill:.0f} % of the way from chance to certainty)"
                + (", and a model relies on it." if worst else "; that a model relies on it is not shown."),
                remedy="Make the pictures alike in this respect, or collect every class from every source.",
                evidence=(*evidence, *map(_evidence, tried)),
                examples=_examples(context, skill),
                points=None if worst is None else worst.points,
            )
        ]

    def _follows(self, trial: _Trial) -> bool:
        """Whether the models surely rely on the nuisance, and enough."""
        return trial.followed.value >= self.failing_gap and trial.followed.interval[0] > 0

    def _telling(self, context: Context, skills: list[_Skill]) -> list[_Skill]:
        """Nuisances to try. Where the middle of the pictures tells as much as the frame, the frame is part of what they show."""
        least = {skill.name: self.failing_skill for skill in skills} | {_LIGHT: self.failing_light}
        if any(skill.name in _FRAME and skill.skill >= self.failing_skill for skill in skills):
            inside = self._skill(context, "middle", middle(context)).skill
            least |= dict.fromkeys(_FRAME, max(self.failing_skill, inside + self.failing_lead))
        return [skill for skill in skills if skill.skill >= least[skill.name] and skill.p <= self.level]

    def _tried(self, context: Context, skills: list[_Skill]) -> list[_Trial]:
        """Experiments with the most telling nuisances, as far as there is one to make."""
        apart = 1 - float(((np.bincount(context.labels) / len(context.labels)) ** 2).sum())
        found: list[_Trial] = []
        for skill in self._telling(context, skills):
            if len(found) < self.trials and not any(map(self._follows, found)):
                lost = self._contradicted(context, skill) if skill.name in _UNSEEN else self._exchanged(context, skill)
                if lost is not None:
                    low, high = lost.interval
                    points = Estimate(value=apart * lost.value, interval=(apart * low, apart * high))
                    found.append(_Trial(skill=skill, followed=lost, points=points))
        return found

    def _contradicted(self, context: Context, skill: _Skill) -> Estimate | None:
        """Accuracy where the nuisance points to another class, under that of others of the class; of all pictures."""
        conflict = skill.predicted != context.labels
        if conflict.sum() < self.fewest_conflicts:
            return None
        return matched_cost(context.correct(context.best), context.labels, conflict, weight=1.0)

    def _exchanged(self, context: Context, skill: _Skill) -> Estimate | None:
        """Accuracy with what another picture of the class lends, minus that with what one of another class lends."""
        if context.pictures is None or skill.name not in TOUCHES:
            return None
        rng = np.random.default_rng(context.seed)
        rows = np.sort(rng.permutation(context.held_out)[: min(self.retouched, len(context.dataset) // 3)])
        learnt = np.setdiff1d(context.train, rows)
        own, other = (_donors(context.labels, learnt, rows, rng, alike=alike) for alike in (True, False))
        known = (own >= 0) & (other >= 0)
        rows, donors = rows[known], np.concatenate([own[known], other[known]])
        if not len(rows):
            return None
        opened = [context.pictures.open(context.paths[i]) for i in (*rows, *rows, *donors)]
        changed = [
            retouched(a, b, skill.name) for a, b in zip(opened[: len(donors)], opened[len(donors) :], strict=True)
        ]
        right = context.predict_pictures(changed, learnt) == np.tile(context.labels[rows], 2)
        return paired_difference(right[: len(rows)], right[len(rows) :])

    def _skill(self, context: Context, name: str, columns: Columns) -> _Skill:
        """Skill of one nuisance, learnt from training pictures, with its permutation test."""
        labels, n = context.labels, context.num_classes
        rng = np.random.default_rng(context.seed)
        rows = np.sort(rng.permutation(context.train)[:5000])
        permuted = np.stack([rng.permutation(labels[rows]) for _ in range(self.permutations)])
        fold = context.folds[rows]
        # Apart from the permuted labels: one penalty serves all that are fitted together, and theirs is a heavy one.
        scores, by_chance = (_scores(columns[rows], vectors, fold, n) for vectors in (labels[rows][None], permuted))
        observed = _balanced(scores[0], labels[rows], n)
        chances = np.array([_balanced(found, truth, n) for found, truth in zip(by_chance, permuted, strict=True)])
        chance = float(chances.mean())
        predicted = np.full(len(labels), -1, dtype=np.int64)
        rest = np.setdiff1d(np.arange(len(labels)), rows)
        if len(rest):
            predicted[rest] = _weighed(
                linear.ridge(columns[rows], linear.one_hot(labels[rows], n), columns[rest]), labels[rows]
            )
        predicted[rows] = scores[0]
        return _Skill(
            name=name,
            skill=(observed - chance) / max(1 - chance, 1e-6),
            p=permutation_p(observed, chances),
            predicted=predicted,
        )


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


def _donors(labels: IntArray, among: IntArray, rows: IntArray, rng: np.random.Generator, *, alike: bool) -> IntArray:
    """A random picture for each row, of its class or of another one; -1 where there is none, ``(len(rows),)``."""
    found = np.full(len(rows), -1, dtype=np.int64)
    for place, row in enumerate(rows):
        fitting = among[(labels[among] == labels[row]) == alike]
        if len(fitting):
            found[place] = rng.choice(fitting)
    return found


def _evidence(trial: _Trial) -> Evidence:
    return Evidence(
        statistic=f"accuracy lost where the {trial.skill.name} is another class's",
        value=trial.followed.value,
        interval=trial.followed.interval,
        unit="points",
        kind=Kind.INTERVENTION,
    )


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
