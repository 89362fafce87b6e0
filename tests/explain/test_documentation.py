"""docs/explain.md is held against the code."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from cli.commands.explain import command
from explain import Badge
from explain.arguments import TARGETS
from explain.attribution import METHODS
from explain.null import FAITHFUL_P, WEAK_P

GUIDE = (Path(__file__).parents[2] / "docs" / "explain.md").read_text("utf-8")
CODE = set(re.findall(r"`([^`\n]+)`", GUIDE))


def test_every_option_that_the_guide_names_exists() -> None:
    known = {f"--{name.replace('_', '-')}" for name in inspect.signature(command).parameters}
    named = {word.split()[0] for word in CODE if word.startswith("--")}
    assert named
    assert named <= known


@pytest.mark.parametrize("word", [*TARGETS, *(badge.value for badge in Badge)])
def test_every_target_and_badge_is_explained(word: str) -> None:
    assert word in CODE


def test_the_methods_of_the_cost_table_exist() -> None:
    table = GUIDE.split("## What it costs", 1)[1]
    ours = [m for row in table.splitlines() if "comparison" not in row for m in re.findall(r"`([a-z0-9-]+)`", row)]
    assert len(ours) >= 4
    assert set(ours) <= set(METHODS)


def test_the_badges_levels_are_the_ones_stated() -> None:
    assert FAITHFUL_P == 0.05
    assert pytest.approx(1 / 6) == WEAK_P
