"""One self-contained HTML page: gallery, badges, filters, neighbours, shortcuts."""

from __future__ import annotations

import base64
import io
from collections import Counter
from typing import Any

import jinja2
from PIL import Image

from explain.claims import Level, Shortcut
from explain.explanation import Explanation, Explanations, Related
from explain.null import Badge
from explain.render import colour_scale, enlarged, overlay, picture_of


def report_html(found: Explanations, scales: dict[int, float]) -> str:
    """The page. Every name is escaped; nothing is fetched from anywhere.

    Args:
        found: What to show.
        scales: Relevance at full colour, for each predicted class.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("explain"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    badges = Counter(item.score.badge for item in found)
    known = [item.correct for item in found if item.correct is not None]
    located = [item.located for item in found if item.located is not None]
    return environment.get_template("report.html").render(
        found=found,
        cards=[_card(item, found, scales[item.predicted]) for item in found],
        badges=[(badge.value, badges[badge]) for badge in Badge],
        predicted=sorted({found.class_name(item.predicted) for item in found}),
        accuracy=(sum(known), len(known)),
        pointing=(sum(w.hit for w in located), len(located)),
        foreground=sum(w.foreground for w in located) / len(located) if located else 0.0,
        area=sum(w.area for w in located) / len(located) if located else 0.0,
        shortcuts=[_shortcut(s, found) for s in found.shortcuts],
        gradient=", ".join(f"#{bytes(colour).hex()}" for colour in colour_scale()[::15]),
    )


def _card(item: Explanation, found: Explanations, scale: float) -> dict[str, Any]:
    label = item.picture.label
    return {
        "name": item.picture.name,
        "predicted": found.class_name(item.predicted),
        "true": None if label is None else found.class_name(label),
        "state": {True: "right", False: "wrong", None: "unknown"}[item.correct],
        "probability": item.probability,
        "target": item.target,
        "score": item.score,
        "located": item.located,
        "picture": data_uri(enlarged(picture_of(item.picture.pixels))),
        "overlay": data_uri(overlay(item.picture.pixels, item.map, scale)),
        "neighbours": [_thumbnail(r, found) for r in item.neighbours],
        "influential": [_thumbnail(r, found) for r in item.influential],
    }


def _thumbnail(related: Related, found: Explanations) -> dict[str, Any]:
    return {
        "name": related.name,
        "label": found.class_name(related.label),
        "value": related.value,
        "picture": data_uri(picture_of(related.pixels)),
    }


def _shortcut(shortcut: Shortcut, found: Explanations) -> dict[str, Any]:
    rows = [
        (name, effect)
        for name, effect in (("redrawn", shortcut.erased), ("pasted elsewhere", shortcut.pasted))
        if effect is not None
    ]
    return {
        "name": found.class_name(shortcut.label),
        "region": shortcut.region,
        "level": shortcut.level.value,
        "confirmed": shortcut.level is Level.CONFIRMED,
        "relevance": shortcut.relevance,
        "area": shortcut.area,
        "effects": rows,
    }


def data_uri(image: Image.Image) -> str:
    """The picture itself as an address, so that the page needs no other file."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=85, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
