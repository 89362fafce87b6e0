"""How the state of a machine is shown, in words and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cli.units import size
from explain.choice import Choice
from zoo.caches import Cache
from zoo.doctor import Health
from zoo.machine import Machine
from zoo.store import Usage

_SHOWN = 12  # names of one kind; --json has all
_PRECISIONS = {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}


def lines(found: Health, chosen: Sequence[tuple[str, Choice]] = ()) -> list[str]:
    """All of it, what stands in the way last, where it is read.

    Args:
        found: What was looked at.
        chosen: Heatmap methods that ``zoo explain`` chose, each beside its model's name.
    """
    said = [*_machine(found.machine), "", "caches"]
    for one in found.caches:
        said += _cache(one)
    said += ["", "engines (how each model that was measured here runs)"]
    said += [f"  {name}: {e.name}, {e.batch} images at a time ({e.reason})" for name, e in found.engines]
    if not found.engines:
        said.append("  none measured yet: the first pass over 1000 images or more measures")
    if chosen:
        said += ["", "heatmaps (how each model that was explained here is explained)"]
        said += [f"  {name}: {choice.method}, chosen on {choice.images} images" for name, choice in chosen[-_SHOWN:]]
    said += ["", "models that need no network"]
    said += [f"  {_names([card.name for card in found.models])}"]
    hub = {True: "answers", False: "cannot be reached", None: found.hub.detail}[found.hub.reachable]
    said += ["", f"hub  {found.hub.endpoint}: {hub}", ""]
    if not found.problems:
        return [*said, "No problems."]
    said.append(f"{len(found.problems)} problem{'s' * (len(found.problems) > 1)}")
    for problem in found.problems:
        said += [f"  {problem.what}", f"    mend it: {problem.remedy}"]
    return said


def as_json(found: Health, chosen: Sequence[tuple[str, Choice]] = ()) -> dict[str, Any]:
    """The same facts."""
    return {
        "machine": {**asdict(found.machine), "versions": dict(found.machine.versions)},
        "caches": [{**asdict(one), "folder": str(one.folder)} for one in found.caches],
        "engines": [{"model": name, **asdict(engine)} for name, engine in found.engines],
        "heatmaps": [{"model": name, "method": choice.method, "images": choice.images} for name, choice in chosen],
        "models": [card.name for card in found.models],
        "hub": asdict(found.hub),
        "problems": [asdict(problem) for problem in found.problems],
    }


def pruned(removed: Sequence[Usage]) -> list[str]:
    """What pruning did, one line a table and one for all."""
    total = sum(table.size for table in removed)
    said = [f"removed {table.folder.name} ({size(table.size)})" for table in removed]
    return [*said, f"{size(total)} freed" if removed else "Nothing had to go: it fits already."]


def _machine(here: Machine) -> list[str]:
    packages = [f"{name} {number}" for name, number in here.versions if name != "zoovet"]
    said = [
        f"zoovet    {dict(here.versions)['zoovet']}, Python {here.python}, {here.system}",
        f"cores     {here.cores}, torch uses {here.threads}",
        f"memory    {size(here.memory)}, {size(here.free_memory)} free",
    ]
    for device in here.devices:
        used = f", used unless told otherwise; trains in {_PRECISIONS[here.precision]}"
        chosen = used if device.name.partition(":")[0] == here.chosen.partition(":")[0] else ""
        said.append(f"device    {device.name} ({device.model}{chosen})")
    return [*said, f"packages  {', '.join(packages)}"]


def _cache(one: Cache) -> list[str]:
    said = [f"  {one.name:7} {size(one.size):>7} in {one.folder} ({one.variable} moves it), {size(one.free)} free"]
    content = [f"{name} ({size(count)})" for name, count in one.content]
    return [*said, *([f"          {_names(content)}"] if content else [])]


def _names(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "") or "none"
