"""How long a run took and what was found on the way: kept in ``env.json``, for the pages and tables made later."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.files import write_json


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What ``env.json`` says of the run itself.

    Attributes:
        seconds: Time spent on it over all sessions, features included; ``None`` where it was not noted.
        notes: Sentences about what was chosen and found.
    """

    seconds: float | None = None
    notes: tuple[str, ...] = ()


def read_outcome(folder: Path) -> Outcome:
    """What was noted; an empty outcome where nothing was, or where the file is damaged."""
    content = _read(folder)
    seconds, notes = content.get("seconds"), content.get("notes")
    return Outcome(
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
        notes=tuple(str(note) for note in notes) if isinstance(notes, list) else (),
    )


def add_seconds(folder: Path, seconds: float) -> None:
    """Add the length of a session.

    Raises:
        StorageError: The disk is full or may not be written.
    """
    before = read_outcome(folder).seconds or 0.0
    write_json(folder / "env.json", {**_read(folder), "seconds": round(before + seconds, 1)})


def write_notes(folder: Path, notes: Sequence[str]) -> None:
    """Replace the notes. Raises ``StorageError`` as ``add_seconds`` does."""
    write_json(folder / "env.json", {**_read(folder), "notes": list(notes)})


def _read(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / "env.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
