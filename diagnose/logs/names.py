"""Which quantity a column or a tag is, by the names that people and frameworks give them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from diagnose.curves import Curves, Series

Phase = Literal["train", "validation", "test", ""]
Quantity = Literal["loss", "accuracy", "error", "learning-rate"]
Points = Sequence[tuple[float, float]]

_PHASES: dict[str, Phase] = {
    **dict.fromkeys(("train", "training", "tr", "fit"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "eval", "evaluation", "dev"), "validation"),
    "test": "test",
}
_LOSS = {"loss", "nll", "xent", "ce", "crossentropy"}
_ACCURACY = {"acc", "accuracy", "top1", "acc1", "prec1", "accuracy1", "acc@1", "multiclassaccuracy"}
_ERROR = {"error", "err"}
#: What makes a column another quantity than its name begins with: the best so far, a smoothed one, one of five guesses.
_OTHER = {"best", "top5", "acc5", "smooth", "smoothed", "std", "time", "count", "balanced", "box", "dfl", "aux", "ema"}


@dataclass(frozen=True, kw_only=True)
class Named:
    """What a name says.

    Attributes:
        extra: How many of its words say nothing: of two columns for one quantity, the plainer is taken.
    """

    quantity: Quantity
    phase: Phase
    extra: int


def parse(name: str) -> Named | None:
    """What a column holds; ``None`` where it is none of the curves.

    >>> parse("val_acc").phase, parse("val_acc").quantity
    ('validation', 'accuracy')
    >>> parse("Loss/train").phase, parse("epoch_time")
    ('train', None)
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip()).lower()
    words = [w for w in re.split(r"[^a-z0-9@]+", spaced) if w]
    if _OTHER & set(words):
        return None
    quantity = _quantity(words)
    if quantity is None:
        return None
    phases = [_PHASES[w] for w in words if w in _PHASES]
    known = _LOSS | _ACCURACY | _ERROR | set(_PHASES) | {"lr", "learning", "rate", "epoch"}
    extra = sum(w not in known for w in words)
    return Named(quantity=quantity, phase=phases[0] if phases else "", extra=extra)


def _quantity(words: Sequence[str]) -> Quantity | None:
    if "lr" in words or ("learning" in words and "rate" in words):
        return "learning-rate"
    if _LOSS & set(words):
        return "loss"
    if _ACCURACY & set(words):
        return "accuracy"
    return "error" if _ERROR & set(words) else None


def assemble(columns: Mapping[str, Points], *, unit: Literal["epoch", "step", "row"], source: str) -> Curves:
    """Curves from named columns of ``(at, value)`` points; what is not named is left out."""
    named = [(found, name) for name in columns if (found := parse(name)) is not None]
    named.sort(key=lambda pair: pair[0].extra)
    bare: Phase = "validation" if _bare_accuracy_is_validation([found for found, _ in named]) else "train"

    def pick(quantity: Quantity, *phases: Phase) -> Series:
        for phase in phases:
            for found, name in named:
                if found.quantity == quantity and found.phase == phase and len(columns[name]):
                    return _series(columns[name])
        return Series()

    def accuracy(*phases: Phase) -> Series:
        phases = (*phases, "") if bare == phases[0] else phases
        found = _fraction(pick("accuracy", *phases))
        if len(found):
            return found
        error = _fraction(pick("error", *phases))
        return Series(at=error.at, values=tuple(1 - value for value in error.values))

    return Curves(
        train_loss=pick("loss", "train", ""),
        validation_loss=pick("loss", "validation", "test"),
        train_accuracy=accuracy("train"),
        validation_accuracy=accuracy("validation", "test"),
        learning_rate=pick("learning-rate", "", "train"),
        unit=unit,
        source=source,
    )


def _bare_accuracy_is_validation(found: Iterable[Named]) -> bool:
    """Fastai and Ultralytics call the validation accuracy "accuracy"; Keras calls that of the training pictures so."""
    held = {name.quantity for name in found if name.phase in ("validation", "test")}
    return "loss" in held and "accuracy" not in held


def _series(points: Points) -> Series:
    ordered = sorted(points, key=lambda point: point[0])
    return Series(at=tuple(at for at, _ in ordered), values=tuple(value for _, value in ordered))


def _fraction(series: Series) -> Series:
    """An accuracy in per cent as a fraction."""
    finite = [value for value in series.values if not math.isnan(value)]
    if not finite or max(finite) <= 1.5:
        return series
    return Series(at=series.at, values=tuple(value / 100 for value in series.values))
