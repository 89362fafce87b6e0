"""What ``zoo explain`` found of shortcuts is read from its file."""

import json
from dataclasses import replace

import pytest

from diagnose.diagnosis import Options, examine
from diagnose.findings import Conclusion, Control, Estimate, Outcome
from diagnose.ladder.shortcuts import shortcut_rung
from diagnose.submission import Submission
from explain.claims import Effect, Level, Shortcut
from explain.outputs import _finding
from tests import faults
from zoo.errors import DataError

WORKS = Control(name="positive-control", accuracy=Estimate(value=0.97, interval=(0.94, 0.99)))


class Found:
    """As much of an explanation as its findings are made from."""

    def __len__(self):
        return 40

    def class_name(self, label):
        return f"class {label}"


def entry(label, level, gain=0.4):
    """A place of one class, exactly as ``zoo explain`` writes it."""
    effect = Effect(effect=gain, control=0.0, interval=(gain - 0.1, gain + 0.1), sample_size=30)
    tested = level is not Level.SUSPECT
    place = Shortcut(
        label=label, region="top left corner", area=0.06, relevance=0.5, level=level, examples=(),
        erased=effect if tested else None, pasted=effect if tested else None,
    )  # fmt: skip
    return _finding(place, Found())


def write(path, *entries, tested=True, schema="zoovet.shortcuts/1"):
    path.write_text(json.dumps({"schema": schema, "tested": tested, "findings": list(entries)}))
    return path


def test_confirmed_places_are_one_failure_with_all_their_evidence(tmp_path):
    file = write(tmp_path / "s.json", entry(0, Level.CONFIRMED), entry(1, Level.CONFIRMED), entry(2, Level.SUSPECT))
    (finding,) = shortcut_rung(file).findings
    assert finding.outcome is Outcome.FAIL
    assert finding.cause == "shortcut"
    assert "1 more place decides" in finding.message
    assert sum(evidence.kind == "intervention" for evidence in finding.evidence) == 4


def test_a_suspect_place_is_a_remark(tmp_path):
    (finding,) = shortcut_rung(write(tmp_path / "s.json", entry(0, Level.SUSPECT), tested=False)).findings
    assert finding.outcome is Outcome.REVIEW


def test_places_that_were_not_confirmed_acquit_only_themselves(tmp_path):
    rung = shortcut_rung(write(tmp_path / "s.json", entry(0, Level.NOT_CONFIRMED)))
    assert not rung.findings
    assert not rung.not_tested


def test_an_explanation_that_tested_nothing_leaves_the_cause_open(tmp_path):
    rung = shortcut_rung(write(tmp_path / "s.json", tested=False))
    assert [open_.name for open_ in rung.not_tested] == ["shortcut"]


def test_a_confirmed_shortcut_is_the_datas_fault(tmp_path):
    file = write(tmp_path / "s.json", entry(0, Level.CONFIRMED))
    options = Options(submission=replace(Submission(), shortcuts=file))
    verdict = examine(faults.healthy(0, 600).context(), positive_control=WORKS, options=options).verdict
    assert verdict.conclusion is Conclusion.DATA
    assert [cause.cause for cause in verdict.causes] == ["shortcut"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": "zoovet.shortcuts/2", "findings": [], "tested": true}', '{"schema": 1}']
)
def test_a_file_that_holds_no_shortcuts_is_refused(tmp_path, text):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(DataError, match="holds no shortcuts"):
        shortcut_rung(tmp_path / "s.json")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no shortcuts"):
        shortcut_rung(tmp_path / "none.json")
