"""docs/diagnose.md says what ``--json``, the flags and the exit statuses are; here it is held against the code."""

import re
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from cli.commands import diagnose
from diagnose.diagnosis import examine
from diagnose.findings import Conclusion, Control, Estimate, Strength, Verdict
from diagnose.report import as_json, exit_status
from tests import faults

GUIDE = (Path(__file__).parents[2] / "docs" / "diagnose.md").read_text("utf-8")
WORKS = Control(name="positive-control", accuracy=Estimate(value=0.97, interval=(0.94, 0.99)))
TERMINAL_WORDS = {
    Conclusion.NOTHING: "nothing wrong",
    Conclusion.DATA: "the data",
    Conclusion.ALGORITHM: "the algorithm",
    Conclusion.BOTH: "both",
    Conclusion.UNDETERMINED: "cannot tell",
}
#: Places whose keys are names from the data, not of the schema.
OPEN = {"controls", "suggestions"}


def keys(value, name=""):
    """Every key of the schema in plain values."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if name not in OPEN:
                yield key
            yield from keys(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner, name)


@pytest.fixture(scope="module")
def plain():
    world, _ = faults.leaked(faults.healthy(0, 300), 0.2)
    return as_json(examine(world.context(), positive_control=WORKS).verdict)


def test_every_key_of_the_json_is_in_the_guide(plain):
    found = set(keys(plain))
    assert {"verdict", "evidence", "self_test"} <= found
    named = {word for pair in re.findall(r"`(\w+)`|\"(\w+)\":", GUIDE) for word in pair}
    assert found <= named, found - named


def test_every_top_level_key_has_a_row_of_its_own(plain):
    rows = re.findall(r"^\| `(\w+)` \|", GUIDE, re.MULTILINE)
    assert set(plain) <= set(rows)


@pytest.mark.parametrize("conclusion", Conclusion)
def test_the_exit_status_in_the_guide_is_the_one_that_is_returned(conclusion):
    verdict = Verdict(conclusion=conclusion, strength=Strength.NONE, summary="")
    assert f"| {TERMINAL_WORDS[conclusion]} | {exit_status(verdict)} |" in GUIDE
    assert f"`{conclusion}`" in GUIDE


def test_every_flag_that_hands_something_over_is_in_the_guide():
    app = typer.Typer()
    app.command()(diagnose.command)
    options = get_command(app).params
    flags = {name for option in options for name in option.opts if name.startswith("--")}
    general = {"--seed", "--device", "--offline", "--budget", "--full", "--install-completion", "--show-completion"}
    missing = {flag for flag in flags - general if flag not in GUIDE}
    assert not missing
