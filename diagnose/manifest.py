"""A cleaned list of the images: what to keep, to drop and to relabel, and why. No image is touched."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diagnose.context import Context
from diagnose.findings import Outcome, Verdict
from zoo.errors import StorageError
from zoo.files import write_text

_DROPPED = {"image-quality": "shows little", "off-topic": "unlike all others"}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What to do with one image: keep, drop or relabel."""

    path: str
    label: str
    split: str
    action: str = "keep"
    reason: str = ""


def cleaned(context: Context, verdict: Verdict) -> tuple[Entry, ...]:
    """An entry for each image, those that could not be read included.

    Only causes of the verdict drop or relabel single images; copies are always thinned to one picture a group, held-out
    ones first to stay.
    """
    actions = _copies(context)
    for finding in verdict.causes:
        if finding.outcome is not Outcome.FAIL:
            continue
        for example in finding.examples:
            if finding.cause in _DROPPED:
                actions.setdefault(example.path, ("drop", _DROPPED[finding.cause]))
            elif finding.cause == "label-noise" and example.suggestion:
                actions.setdefault(example.path, (f"relabel:{example.suggestion}", "the label looks wrong"))
    names = context.dataset.classes
    entries = []
    for sample in context.dataset.samples:
        action, reason = actions.get(sample.path, ("keep", ""))
        label = names[sample.label]
        if action.startswith("relabel:"):
            action, label, reason = "relabel", action.removeprefix("relabel:"), f"{reason}; it was {label}"
        elif action == "drop":
            label, reason = "", f"{reason}; it was {label}"
        entries.append(Entry(path=sample.path, label=label, split=sample.split or "", action=action, reason=reason))
    lost = (Entry(path=s.path, label="", split="", action="drop", reason=s.reason) for s in context.dataset.skipped)
    return (*entries, *lost)


def write_manifest(context: Context, verdict: Verdict, path: Path) -> Path:
    """Write ``path,label,split,action,reason``. Rows to drop have no label, so that ``zoo`` passes over them.

    Paths are relative to the manifest where the images lie beneath it, else absolute.

    Raises:
        StorageError: There is such a file already, or it cannot be written.
    """
    if path.exists():
        raise StorageError(f"{path} exists.", remedy="Name another file: --fix cleaned.csv")
    root, folder = context.dataset.root.resolve(), path.resolve().parent
    prefix = Path(os.path.relpath(root, folder)) if root.is_relative_to(folder) else root
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "split", "action", "reason"])
    for entry in cleaned(context, verdict):
        writer.writerow([(prefix / entry.path).as_posix(), entry.label, entry.split, entry.action, entry.reason])
    write_text(path, text.getvalue())
    return path


def _copies(context: Context) -> dict[str, tuple[str, str]]:
    """All but one of each group of copies are dropped; all of them where their labels are at odds without a majority."""
    groups, labels = context.duplicates, context.labels
    order = np.argsort(groups, kind="stable")
    actions: dict[str, tuple[str, str]] = {}
    held_out = np.zeros(len(groups), dtype=bool)
    if context.splits_given:
        held_out[context.held_out] = True
    for members in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        if len(members) < 2:
            continue
        votes = np.bincount(labels[members])
        torn = (votes == votes.max()).sum() > 1
        agreed = [int(i) for i in members if labels[i] == votes.argmax() and not torn]
        kept = max(agreed, key=lambda i: (held_out[i], -i), default=-1)
        why = "copies carry different labels" if torn else f"a copy of {context.paths[kept]}"
        actions |= {context.paths[int(i)]: ("drop", why) for i in members if i != kept}
    return actions
