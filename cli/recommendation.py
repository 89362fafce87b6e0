"""How a ranking of models is shown, in words and as JSON."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

from cli.cards import millions, percent
from zoo.data.names import printable
from zoo.recommendation import Candidate, Recommendation


def table(found: Recommendation) -> tuple[list[str], list[list[str]]]:
    """The columns, and one row a model."""
    columns = ["model", "probe accuracy here", "to the best", "ImageNet", "parameters"]
    return columns, [_row(candidate) for candidate in found.candidates]


def lines(found: Recommendation, data: str) -> list[str]:
    """What the table means, what was not measured, and the command to go on with."""
    tied = [candidate.card.name for candidate in found.candidates if candidate.tied]
    said = ["", f"Probes cross-validated in {found.folds} folds on {found.images} images, 95 % intervals."]
    chosen = found.choice.card.name
    if len(tied) > 1:
        said.append(
            f"Tied: {', '.join(tied)}. These images cannot tell them apart, so the one with the highest accuracy on "
            f"ImageNet is taken: {chosen}."
        )
    elif sum(candidate.accuracy is not None for candidate in found.candidates) > 1:
        said.append(f"{chosen} is better here than all others that were measured.")
    said += [
        f"{candidate.card.name} was not measured: {candidate.reason.rstrip('.')}."
        for candidate in found.candidates
        if candidate.reason
    ]
    return [*said, f"Next: {command(found, data)}"]


def command(found: Recommendation, data: str) -> str:
    """The command that fine-tunes the model that was chosen."""
    return f"zoo finetune {found.choice.card.name} {shlex.quote(printable(data))}"


def as_json(found: Recommendation, data: str) -> dict[str, Any]:
    """The ranking, what was chosen and how to go on."""
    return {
        "data": data,
        "images": found.images,
        "folds": found.folds,
        "seconds": round(found.seconds, 1),
        "models": [
            {
                "name": candidate.card.name,
                "accuracy": candidate.accuracy,
                "interval": candidate.interval,
                "behind": asdict(candidate.behind) if candidate.behind else None,
                "tied": candidate.tied,
                "imagenet_accuracy": candidate.card.accuracy,
                "parameters": candidate.card.parameters,
                "reason": candidate.reason or None,
            }
            for candidate in found.candidates
        ],
        "choice": found.choice.card.name,
        "next": command(found, data),
    }


def _row(candidate: Candidate) -> list[str]:
    facts = [percent(candidate.card.accuracy), millions(candidate.card.parameters)]
    if candidate.accuracy is None or candidate.interval is None:
        return [candidate.card.name, "not measured", "", *facts]
    low, high = candidate.interval
    return [
        candidate.card.name,
        f"{candidate.accuracy:.1%} [{100 * low:.1f}, {100 * high:.1f}]",
        _behind(candidate),
        *facts,
    ]


def _behind(candidate: Candidate) -> str:
    d = candidate.behind
    if d is None:
        return "best"
    low, high = d.interval
    short = 0.0 if d.accuracy == 0 else -100 * d.accuracy  # no "-0.0"
    return f"{short:+.1f} [{-100 * high:+.1f}, {-100 * low:+.1f}]{' tied' if d.noise else ''}"
