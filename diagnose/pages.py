"""The report and the review as single HTML files that need nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from diagnose import report
from diagnose.context import Context
from diagnose.diagnosis import Diagnosis
from diagnose.findings import Example, Finding
from diagnose.learning_curve import KEPT, LearningCurve
from diagnose.review import review_items
from zoo.data.names import printable
from zoo.files import write_text
from zoo.report import thumbnail

_SIDE = 128  # pixels of a thumbnail
_MOST = 12  # examples shown of one finding
_PAIRS = 8  # pairs of classes shown

_TEMPLATES = Environment(
    loader=ChoiceLoader([PackageLoader("diagnose"), PackageLoader("zoo")]),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {
    "percent": report.percent,
    "interval": report.interval,
    "points": report.points,
    "statistic": report.statistic,
    "at_best": report.at_best,
    "extent": report.extent,
    "outcome_of": report.outcome_of,
    "printable": printable,
}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """An image on a page, with the images that it belongs with."""

    uri: str | None
    path: str
    note: str
    suggestion: str | None
    related: tuple[Shown, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two classes and how often the known-good model takes the one for the other."""

    first: str
    second: str
    count: int
    share: float
    examples: tuple[Shown, ...]


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point of the learning curve, in the coordinates of the drawing."""

    x: float
    y: float
    size: int
    error: float


def write_report(diagnosis: Diagnosis, path: Path) -> Path:
    """Write ``report.html``: the verdict, the matrix of the experiment, every finding with its images, the curve."""
    verdict, context = diagnosis.verdict, diagnosis.context
    assert context is not None
    usable = bool(verdict.controls) and any(control.name == "reference" for control in verdict.controls)
    page = _TEMPLATES.get_template("diagnosis.html").render(
        verdict=verdict,
        dataset=context.dataset,
        controls={control.name: control for control in verdict.controls},
        needs={entry.name: entry.needs for entry in verdict.not_tested},
        causes=[(finding, _shown(context, finding)) for finding in verdict.causes],
        remarks=[(finding, _shown(context, finding)) for finding in verdict.remarks],
        pairs=_confusable(context) if usable else (),
        curve=_drawn(diagnosis),
        costs=diagnosis.seconds_by_check,
    )
    write_text(path, page)
    return path


def write_review(diagnosis: Diagnosis, path: Path) -> Path:
    """Write a page with the 50 most useful images to look at; its answers are saved as a file for ``--answers``."""
    context = diagnosis.context
    assert context is not None
    items = [_image(context, example, related=False) for example in review_items(diagnosis.verdict, seed=context.seed)]
    labels = dict(zip(context.paths, (context.dataset.classes[label] for label in context.labels), strict=True))
    page = _TEMPLATES.get_template("review.html").render(
        items=[(item, labels.get(item.path, "")) for item in items], dataset=context.dataset
    )
    write_text(path, page)
    return path


def _shown(context: Context, finding: Finding) -> tuple[Shown, ...]:
    return tuple(_image(context, example) for example in finding.examples[:_MOST])


def _image(context: Context, example: Example, *, related: bool = True) -> Shown:
    others = example.related[:5] if related else ()
    return Shown(
        uri=thumbnail(context.dataset.root / example.path, _SIDE),
        path=example.path,
        note=example.note,
        suggestion=example.suggestion,
        related=tuple(_image(context, Example(path=other)) for other in others),
    )


def _confusable(context: Context) -> tuple[Pair, ...]:
    """The pairs of classes that the known-good model mixes up most often, on held-out pictures."""
    rows = context.held_out
    truth, guess = context.labels[rows], context.predicted(context.best)[rows]
    table = np.zeros((context.num_classes, context.num_classes), dtype=np.int64)
    np.add.at(table, (truth, guess), 1)
    mixed = np.triu(table + table.T, k=1)
    order = np.argsort(-mixed, axis=None, kind="stable")[:_PAIRS]
    size, names = np.bincount(truth, minlength=context.num_classes), context.dataset.classes
    found = []
    for first, second in zip(*np.unravel_index(order, mixed.shape), strict=True):
        if not mixed[first, second]:
            break
        wrong = rows[((truth == first) & (guess == second)) | ((truth == second) & (guess == first))]
        examples = tuple(Example(path=context.paths[i], note=names[context.labels[i]]) for i in wrong[:4])
        found.append(
            Pair(
                first=names[first],
                second=names[second],
                count=int(mixed[first, second]),
                share=float(mixed[first, second] / max(size[first] + size[second], 1)),
                examples=tuple(_image(context, example) for example in examples),
            )
        )
    return tuple(found)


def _drawn(diagnosis: Diagnosis) -> tuple[Point, ...]:
    """The learning curve in a drawing of 600 x 240, sizes on a logarithmic axis; empty where none was measured."""
    assert diagnosis.context is not None
    curve = diagnosis.context.found(KEPT)
    if not isinstance(curve, LearningCurve):
        return ()
    errors = curve.errors.mean(axis=0)
    top = max(float(errors.max()), 0.01) * 1.15
    octave = np.log2(curve.sizes / curve.sizes[0])
    place = 70 + 490 * octave / octave[-1]
    return tuple(
        Point(x=float(x), y=200 - 180 * float(error) / top, size=int(size), error=float(error))
        for x, error, size in zip(place, errors, curve.sizes, strict=True)
    )
