"""``config.yaml`` of a run: what was asked for and what was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import yaml

from zoo.errors import ModelError, RunError
from zoo.preprocess import Preprocess
from zoo.settings import Settings

#: Of the run folder's layout. A newer one cannot be read by this version; older ones must be.
SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What ``config.yaml`` holds.

    Attributes:
        model: Canonical name in the catalog.
        architecture: What builds the model, as in ``zoo.card.Card``.
        arguments: What it is built with besides.
        data: What the person named: a folder, a manifest, a zip or a hub name; absolute where it is a path.
        settings: Resolved: nothing is left to be chosen.
        classes: In the order of the model's outputs.
        preprocess: How images become inputs.
        version: Of zoovet.
        schema: Of the run folder.
    """

    model: str
    architecture: str
    arguments: tuple[tuple[str, Any], ...] = ()
    data: str
    settings: Settings
    classes: tuple[str, ...]
    preprocess: Preprocess
    version: str
    schema: int = SCHEMA

    def to_yaml(self) -> str:
        """As text; keys in the order a person would read them."""
        plain = {
            "schema": self.schema,
            "zoovet": self.version,
            "model": self.model,
            "architecture": self.architecture,
            "arguments": dict(self.arguments),
            "data": self.data,
            "settings": self.settings.chosen(),
            "preprocess": _plain(asdict(self.preprocess)),
            "classes": list(self.classes),
        }
        return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)

    @classmethod
    def from_yaml(cls, text: str) -> RunConfig:
        """Read what ``to_yaml`` wrote.

        Raises:
            RunError: Made by a newer version, or by an older one of a model that is not known here.
            KeyError, TypeError, ValueError: Damaged.
        """
        plain = yaml.safe_load(text)
        if int(plain["schema"]) > SCHEMA:
            raise RunError(
                f"The run was made by zoovet {plain.get('zoovet', '?')}, which is newer than this one.",
                remedy="Update: pip install -U zoovet",
            )
        architecture, arguments = _built_with(plain)
        shape: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in plain["preprocess"].items()}
        return cls(
            schema=int(plain["schema"]),
            version=str(plain["zoovet"]),
            model=str(plain["model"]),
            architecture=architecture,
            arguments=arguments,
            data=str(plain["data"]),
            settings=Settings(**plain["settings"]),
            classes=tuple(str(name) for name in plain["classes"]),
            preprocess=Preprocess(**shape),
        )


def _built_with(plain: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, Any], ...]]:
    """Architecture and arguments; a folder that does not state them names a model, and the catalog knows them."""
    if "architecture" in plain:
        return str(plain["architecture"]), tuple(dict(plain["arguments"]).items())
    from zoo.catalog import card

    try:
        known = card(str(plain["model"]), offline=True)
    except ModelError as error:
        raise RunError(
            f"The run was made by an older zoovet, {plain['zoovet']}, which did not note how its model is built, and "
            f"{plain['model']!r} is not known here.",
            remedy="Make the run again: zoo finetune MODEL DATA",
        ) from error
    return known.architecture, known.arguments


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
