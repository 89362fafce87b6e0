"""From the options of ``zoo finetune`` to the library's settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from zoo.errors import OptionError


def choices_from(
    config: str | None, assignments: Sequence[str] | None, *, full: bool, **options: Any
) -> dict[str, Any]:
    """Settings by name. A later source wins: the file, the options, then ``--set``.

    Raises:
        OptionError: The file cannot be read, or an assignment is not ``name=value``.
    """
    choices: dict[str, Any] = _file_settings(Path(config)) if config else {}
    choices |= {name: value for name, value in options.items() if value is not None}
    if full:
        choices["recipe"] = "finetune"
    for assignment in assignments or ():
        name, equals, value = assignment.partition("=")
        if not equals:
            raise OptionError(
                f"--set takes name=value. Got {assignment!r} instead.", remedy="For example: --set patience=10"
            )
        choices[name.strip()] = value.strip()
    return choices


def dry_run_summary(
    model: str, data: str, choices: dict[str, Any], *, out: Path | None, device: str, offline: bool
) -> dict[str, Any]:
    """What a fine-tuning would start from: the model, the images, and the settings that are not left to be chosen."""
    from zoo.request import check_request

    asked = check_request(model, data, out=out, device=device, offline=offline, choices=choices)
    dataset = asked.dataset
    return {
        "model": asked.card.name,
        "data": str(dataset.root),
        "images": len(dataset),
        "classes": list(dataset.classes),
        "skipped": [{"path": s.path, "reason": s.reason} for s in dataset.skipped],
        "warnings": list(dataset.warnings),
        "settings": {
            name: "chosen when it runs" if value is None else value for name, value in asked.settings.chosen().items()
        },
    }


def _file_settings(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError(f"{path} cannot be read as YAML ({error}).", remedy="Name a run's config.yaml.") from error
    settings = content.get("settings", content) if isinstance(content, dict) else None
    if not isinstance(settings, dict):
        raise OptionError(f"{path} holds no settings.", remedy="Name a run's config.yaml.")
    return {str(name): value for name, value in settings.items()}
