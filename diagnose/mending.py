"""The edit that mends a person's algorithm file: where it can be a word or a line, that; else a whole part anew."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

from diagnose import source_edits as edits
from diagnose.references import template
from diagnose.sandbox.measurements import Variant
from diagnose.sandbox.part_names import PARTS
from diagnose.source_edits import Editor

_TRANSFORM = """\
def build_transform(train):
    \"\"\"The whole picture, scaled as the network expects it.\"\"\"
    normalise = transforms.Normalize({mean}, {std})
    return transforms.Compose([transforms.Resize(({height}, {width})), transforms.ToTensor(), normalise])
"""


@dataclass(frozen=True, kw_only=True)
class Input:
    """What the person's network is fed with: its size in pixels, and the mean and deviation that suit it (pixel / 255)."""

    height: int
    width: int
    mean: Sequence[float]
    std: Sequence[float]


def mended(text: str, change: Variant, causes: Collection[str], fed: Input | None) -> str:
    """The file with what took the causes away; as it was where none of that can be written into it.

    A network is not replaced: that is no edit.

    Args:
        text: The person's file.
        change: What won when it was tried.
        causes: Names of the causes; some take a line where the change replaced a whole part.
        fed: For a transform of another normalisation; ``None`` where it is not known.
    """
    for editor in _editors(change, causes, fed):
        text = editor(text) or text
    return text


def unified_diff(before: str, after: str, name: str) -> str:
    """What ``patch`` and ``git apply`` read; empty where nothing changed."""
    old, new = (side.splitlines(keepends=True) for side in (before, after))
    lines = difflib.unified_diff(old, new, f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _editors(change: Variant, causes: Collection[str], fed: Input | None) -> list[Editor]:
    small = _small(causes)
    scored = {"evaluation", "eval-mode"} & set(causes)
    parts = [part for part in PARTS if part in change.reference or (part == "evaluate" and scored)]
    found = [small.get(part) or partial(_whole, part=part, fed=fed) for part in parts]
    optional = (
        (change.learning_rate != 1, partial(_rate, factor=change.learning_rate)),
        (change.epochs != 1, partial(edits.scaled_constant, name="EPOCHS", factor=change.epochs)),
        (not change.augment, partial(edits.put_first, function="build_transform", line="{0} = False")),
        (not change.regularise, _unregularised),
        (not change.clip, partial(edits.without_calls, is_unwanted=edits.named("clip_grad_norm_", "clip_grad_value_"))),
        (change.unfreeze, _unfrozen),
        (change.precise, partial(edits.with_keyword, call="autocast", argument="enabled=False")),
        (change.reset, partial(edits.without_calls, is_unwanted=edits.initialises)),
    )
    return [*found, *(editor for wanted, editor in optional if wanted)]


def _small(causes: Collection[str]) -> dict[str, Editor]:
    """Part -> an edit of a line or two, where the causes allow one."""
    small: dict[str, Editor] = {}
    if {"missing-zero-grad", "no-update", "train-mode"} & set(causes):
        small["train_step"] = partial(_stepping, causes=causes)
    if "double-softmax" in causes:
        small["loss"] = small["train_step"] = edits.without_softmax
    if "eval-mode" in causes and "evaluation" not in causes:
        small["evaluate"] = partial(_in_mode, function="evaluate", mode="eval", other="train")
    return small


def _stepping(text: str, causes: Collection[str]) -> str | None:
    """The calls that a step needs, each in its place."""
    made: list[Editor] = []
    steps = "step" in edits.calls(text, "train_step")
    if "missing-zero-grad" in causes or ("no-update" in causes and steps):
        made.append(partial(edits.without_calls, is_unwanted=edits.named("zero_grad"), function="train_step"))
        made.append(partial(edits.put_first, function="train_step", line="{4}.zero_grad()"))
    if "no-update" in causes and not steps:
        made.append(partial(edits.put_after, function="train_step", call="backward", line="{4}.step()"))
    if "train-mode" in causes:
        made.append(partial(_in_mode, function="train_step", mode="train", other="eval"))
    changed = text
    for editor in made:
        changed = editor(changed) or changed
    return changed


def _in_mode(text: str, *, function: str, mode: str, other: str) -> str | None:
    """The model is put into its mode at the head of a function, and into no other later on."""
    text = edits.without_calls(text, edits.named(other), function) or text
    return edits.put_first(text, function, f"{{0}}.{mode}()")


def _whole(text: str, *, part: str, fed: Input | None) -> str | None:
    """A part in the words of the file that ``zoo diagnose --init`` writes."""
    name = PARTS[part]
    if part == "model":
        return None
    if part == "transform":
        if fed is None:
            return None
        mean, std = ([round(float(v), 4) for v in values] for values in (fed.mean, fed.std))
        return edits.with_function(
            text, name, _TRANSFORM.format(mean=mean, std=std, height=fed.height, width=fed.width)
        )
    known_good = getattr(template, name)
    if not callable(known_good):
        return edits.set_constant(text, name, repr(known_good))
    changed = edits.with_function(text, name, edits.source_of(template, name))
    if part == "scheduler":
        changed = edits.set_constant(changed, "SCHEDULER_UNIT", '"step"') or changed
    return changed


def _rate(text: str, *, factor: float) -> str | None:
    return edits.scaled_keyword(text, "build_optimizer", "lr", factor)


def _unregularised(text: str) -> str | None:
    """No weight decay and no dropout."""
    tree = ast.parse(text)
    drops = [
        n
        for n in ast.walk(tree)
        if isinstance(n, ast.Call) and ast.unparse(n.func).split(".")[-1].startswith("Dropout")
    ]
    keywords = [k for n in drops for k in n.keywords if k.arg == "p"]
    keywords += [k for k in ast.walk(tree) if isinstance(k, ast.keyword) and k.arg == "weight_decay"]
    nodes = [*(n.args[0] for n in drops if n.args), *(k.value for k in keywords)]
    return edits.multiplied(text, nodes, 0.0) if nodes else None


def _unfrozen(text: str) -> str | None:
    """Every parameter trains, and the optimizer holds them all."""
    changed = edits.first_argument(text, "build_optimizer", "{0}.parameters()")
    return None if changed is None else edits.put_first(changed, "build_optimizer", "{0}.requires_grad_(True)")
