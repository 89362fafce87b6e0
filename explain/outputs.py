"""What ``explain`` leaves on the disk: maps, overlays, a manifest, the finding for a diagnosis, and the report.

maps/*.npy       float32, signed, raw: (rows, columns) of the model's input
overlay/*.png    on one colour scale for each predicted class, printed below
manifest.json    schema zoovet.explain/1: method, layer, scores, versions, preprocessing, seed
shortcuts.json   schema zoovet.shortcuts/1: findings in the shape of ``diagnose.findings.Finding``
report.html      one file, needs nothing else
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from explain.claims import Effect, Level, Shortcut
from explain.explanation import Explanation, Explanations
from explain.render import overlay, scale_of
from explain.report import report_html
from zoo.files import replacing, write_json, write_text
from zoo.preprocess import Preprocess
from zoo.run import version

PACKAGES = ("zoovet", "torch", "timm", "captum", "numpy")


def file_stem(number: int, name: str) -> str:
    """A file name that cannot leave its folder, whatever the image is called: a number and a few plain characters.

    >>> file_stem(3, "../../etc/passwd.png")
    '0003-passwd'
    """
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0])
    return f"{number:04d}-{plain.strip('-')[:60]}".rstrip("-")


def class_scales(found: Explanations) -> dict[int, float]:
    """The relevance at full colour, one for each predicted class."""
    return {
        label: scale_of(np.stack([e.map for e in found if e.predicted == label]))
        for label in sorted({e.predicted for e in found})
    }


def write_outputs(found: Explanations, folder: Path, preprocess: Preprocess) -> None:
    """Write everything into ``folder``. The same explanations give the same bytes.

    Raises:
        StorageError: The disk is full or may not be written.
    """
    scales = class_scales(found)
    stems = [file_stem(k, e.picture.name) for k, e in enumerate(found)]
    for stem, item in zip(stems, found, strict=True):
        buffer = io.BytesIO()
        np.save(buffer, item.map, allow_pickle=False)
        _write(folder / "maps" / f"{stem}.npy", buffer.getvalue())
        buffer = io.BytesIO()
        overlay(item.picture.pixels, item.map, scales[item.predicted]).save(buffer, "PNG")
        _write(folder / "overlay" / f"{stem}.png", buffer.getvalue())
    write_json(folder / "manifest.json", manifest(found, stems, preprocess))
    write_json(folder / "shortcuts.json", shortcut_findings(found))
    write_text(folder / "report.html", report_html(found, scales))


def _write(path: Path, data: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def manifest(found: Explanations, stems: Sequence[str], preprocess: Preprocess) -> dict[str, Any]:
    """What was done, with every number, as plain JSON. Schema ``zoovet.explain/1``."""
    choice = found.choice
    return {
        "schema": "zoovet.explain/1",
        "model": found.model,
        "classes": list(found.classes),
        "seed": found.seed,
        "versions": {name: version(name) for name in PACKAGES},
        "preprocess": asdict(preprocess),
        "method": choice.method,
        "fallback": found.fallback,
        "candidates": [
            {
                "method": t.method,
                "gain": _number(t.gain),
                "standard_error": _number(t.error),
                "images": t.images,
                "passes": t.passes,
                "note": t.note,
            }
            for t in choice.trials
        ],
        "null": {"mean": choice.null.mean, "deviation": choice.null.deviation, "maps": len(choice.null.shares)},
        "sanity": {
            "passed": choice.gate.passed,
            "images": choice.gate.sample_size,
            "answers": [asdict(answer) for answer in choice.gate.answers],
        },
        "images": [_image(item, stem, found) for item, stem in zip(found, stems, strict=True)],
        "clusters": [
            {"class": found.class_name(c.label), "images": [found[k].picture.name for k in c.members]}
            for c in found.clusters
        ],
        "skipped": [{"path": s.path, "reason": s.reason} for s in found.skipped],
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _image(item: Explanation, stem: str, found: Explanations) -> dict[str, Any]:
    label = item.picture.label
    return {
        "path": item.picture.name,
        "map": f"maps/{stem}.npy",
        "overlay": f"overlay/{stem}.png",
        "true": None if label is None else found.class_name(label),
        "predicted": found.class_name(item.predicted),
        "probability": item.probability,
        "target": item.target,
        "method": item.method,
        "layer": item.layer,
        "gain": item.score.gain,
        "share": item.score.share,
        "z": item.score.z,
        "p": item.score.p,
        "badge": item.score.badge.value,
        "object": None if item.located is None else asdict(item.located),
        "neighbours": [
            {"path": r.name, "class": found.class_name(r.label), "similarity": r.value} for r in item.neighbours
        ],
        "influential": [
            {"path": r.name, "class": found.class_name(r.label), "influence": r.value} for r in item.influential
        ],
    }


def shortcut_findings(found: Explanations) -> dict[str, Any]:
    """The shortcuts for a diagnosis, as data. Schema ``zoovet.shortcuts/1``.

    ``findings`` has one entry for each place of each class, with the fields of ``diagnose.findings.Finding``:
    ``check``, ``cause``, ``side``, ``outcome``, ``message``, ``remedy``, ``evidence`` (each with ``statistic``,
    ``value``, ``unit``, ``reference``, ``interval``, ``sample_size``, ``kind``) and ``examples`` (each with ``path``
    and ``note``). ``fail`` is a confirmed shortcut, ``review`` a suspect that was not tested, ``pass`` one that was
    tested and not confirmed. ``tested`` is false where there were no labels or too few images.
    """
    return {
        "schema": "zoovet.shortcuts/1",
        "model": found.model,
        "method": found.choice.method,
        "images": len(found),
        "tested": any(s.level is not Level.SUSPECT for s in found.shortcuts),
        "findings": [_finding(s, found) for s in found.shortcuts],
    }


def _finding(shortcut: Shortcut, found: Explanations) -> dict[str, Any]:
    outcome = {Level.CONFIRMED: "fail", Level.SUSPECT: "review", Level.NOT_CONFIRMED: "pass"}[shortcut.level]
    evidence = [
        _evidence("relevance share", shortcut.relevance, reference=shortcut.area, sample_size=len(found)),
        *(_effect_evidence("probability lost when redrawn", shortcut.erased) if shortcut.erased else []),
        *(_effect_evidence("probability gained when pasted", shortcut.pasted) if shortcut.pasted else []),
    ]
    confirmed = shortcut.level is Level.CONFIRMED
    return {
        "check": "shortcut",
        "cause": "shortcut",
        "side": "data",
        "outcome": outcome,
        "class": found.class_name(shortcut.label),
        "region": shortcut.region,
        "message": sentence(shortcut, found.class_name(shortcut.label)),
        "remedy": f"Crop or blank the {shortcut.region}, or collect images without it; then train again."
        if confirmed
        else "",
        "evidence": evidence,
        "examples": [
            {"path": found[k].picture.name, "note": f"look at the {shortcut.region}"} for k in shortcut.examples
        ],
    }


def _evidence(statistic: str, value: float, **more: Any) -> dict[str, Any]:
    plain = {"unit": "", "reference": None, "interval": None, "sample_size": None, "kind": "observation"}
    return {"statistic": statistic, "value": value, **plain, **more}


def _effect_evidence(statistic: str, effect: Effect) -> list[dict[str, Any]]:
    return [
        _evidence(
            f"{statistic}, over control", effect.difference, unit="probability", reference=0.0,
            interval=list(effect.interval), sample_size=effect.sample_size, kind="intervention",
        )
    ]  # fmt: skip


def sentence(shortcut: Shortcut, name: str) -> str:
    """What is claimed, in one sentence."""
    place = f"the {shortcut.region}"
    if shortcut.level is Level.SUSPECT:
        return f"Maps of {name!r} point to {place}; there are too few images to test it."
    assert shortcut.erased is not None, "tested"
    assert shortcut.pasted is not None, "tested"
    if shortcut.level is Level.NOT_CONFIRMED:
        return f"Maps of {name!r} point to {place}, but changing it does not decide the class."
    low, high = shortcut.pasted.interval
    return (
        f"The model takes {place} for {name!r}: pasted into other images it adds {shortcut.pasted.difference:.0%} "
        f"(95 % interval {low:.0%} to {high:.0%}) probability, redrawn it costs {shortcut.erased.difference:.0%}, "
        f"both over control."
    )
