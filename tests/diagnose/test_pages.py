"""The pages, the review's answers and the cleaned list."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diagnose.diagnosis import Diagnosis, examine
from diagnose.findings import (
    Conclusion,
    Control,
    Edit,
    Estimate,
    Example,
    Finding,
    NotTested,
    Outcome,
    Side,
    Strength,
    Verdict,
)
from diagnose.manifest import write_manifest
from diagnose.pages import write_report, write_review
from diagnose.report import as_json, text
from diagnose.review import read_answers, review_items, with_answers
from tests import faults
from zoo.data import read
from zoo.errors import DataError, StorageError

WORKS = Control(name="positive-control", accuracy=Estimate(value=0.97, interval=(0.94, 0.99)))
EVIL = '<script>alert("x")</script>'


def on_disk(world, folder):
    """The same world with its files where its paths say, and a context that knows where."""
    for path, data in zip(world.paths, world.files, strict=True):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    context = world.context()
    return replace(context, dataset=replace(context.dataset, root=folder), _kept={})


@pytest.fixture(scope="module")
def diagnosis(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    world, _ = faults.leaked(faults.healthy(0, 300), 0.2)
    world = faults.truncated(world, 0.05)
    return examine(on_disk(world, folder), positive_control=WORKS)


def test_the_report_is_one_file_that_needs_nothing_else(diagnosis, tmp_path):
    page = write_report(diagnosis, tmp_path / "report.html").read_text("utf-8")
    assert diagnosis.verdict.summary in page
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    assert page.count("data:image") >= 5
    assert "split-leakage" in page
    assert "needs --got or --predictions" in page


def test_a_cell_that_only_lacked_time_says_so_and_not_which_flag_opens_it(diagnosis, tmp_path):
    open_ = (NotTested(name="own-code", needs="a larger --budget"), NotTested(name="accuracy", needs="a sixth epoch"))
    verdict = replace(diagnosis.verdict, not_tested=open_)
    page = write_report(replace(diagnosis, verdict=verdict), tmp_path / "report.html").read_text("utf-8")
    cells = re.findall(r'<span class="quiet">needs ([^<]*)</span>', page)
    assert cells == ["a larger --budget", "a sixth epoch"]


def test_a_remark_shows_no_points_that_were_lost(diagnosis, tmp_path):
    def page(value):
        remark = Finding(
            check="network", cause="gradient-flow", side=Side.ALGORITHM, outcome=Outcome.REVIEW, message="",
            points=Estimate(value=value, interval=(value - 0.01, value + 0.01)),
        )  # fmt: skip
        verdict = replace(diagnosis.verdict, causes=(), remarks=(remark,))
        return write_report(replace(diagnosis, verdict=verdict), tmp_path / f"{value}.html").read_text("utf-8")

    assert "+7.0 points" in page(0.07)
    assert 'class="cost"' not in page(-0.07)


def test_names_from_the_data_are_escaped(tmp_path):
    world = faults.healthy(0, 60)
    context = on_disk(world, tmp_path / "data")
    dataset = replace(context.dataset, classes=(EVIL, *context.dataset.classes[1:]), name=EVIL)
    found = examine(replace(context, dataset=dataset, _kept={}), positive_control=WORKS)
    verdict = replace(
        found.verdict,
        remarks=(
            Finding(
                check="x",
                cause="label-noise",
                side=Side.DATA,
                outcome=Outcome.REVIEW,
                message=EVIL,
                examples=(Example(path=f"{EVIL}.png", note=EVIL, suggestion=EVIL),),
            ),
        ),
    )
    for write in (write_report, write_review):
        page = write(replace(found, verdict=verdict), tmp_path / "page.html").read_text("utf-8")
        assert EVIL not in page
        assert "&lt;script&gt;" in page


def test_data_that_cannot_be_looked_at_still_has_a_report(tmp_path):
    found = examine(faults.subset(faults.healthy(), [0, 1, 2]).context(), positive_control=WORKS)
    page = write_report(found, tmp_path / "report.html").read_text("utf-8")
    assert "Cannot tell" in page


def suspects(count):
    examples = tuple(Example(path=f"{i}.png", suggestion="b") for i in range(count))
    finding = Finding(
        check="label-noise",
        cause="label-noise",
        side=Side.DATA,
        outcome=Outcome.FAIL,
        message="Suspects.",
        examples=examples,
    )
    return Verdict(conclusion=Conclusion.DATA, strength=Strength.CONCLUSIVE, summary="", causes=(finding,))


def test_the_review_shows_fifty_images_at_most_the_surest_among_them():
    items = [item.path for item in review_items(suspects(200))]
    assert len(items) == len(set(items)) == 50
    assert items[:25] == [f"{i}.png" for i in range(25)]


def test_answers_clear_right_labels_and_narrow_the_estimate(tmp_path):
    file = tmp_path / "answers.json"
    given = {f"{i}.png": "wrong" if i < 30 else "right" for i in range(40)} | {"41.png": "unsure"}
    file.write_text(json.dumps({"schema": 1, "answers": given}), "utf-8")
    (finding,) = with_answers(suspects(100), read_answers(file)).causes
    assert len(finding.examples) == 90
    share = finding.evidence[-1]
    assert share.value == 0.75
    assert 0.55 < share.interval[0] < 0.75 < share.interval[1] < 0.9
    assert "30 of 40" in finding.message


@pytest.mark.parametrize("text", ["", "[]", '{"answers": {"a.png": "maybe"}}', '{"answers": 3}'])
def test_a_file_that_holds_no_answers_is_refused(tmp_path, text):
    file = tmp_path / "answers.json"
    file.write_text(text, "utf-8")
    with pytest.raises(DataError):
        read_answers(file)


def test_the_cleaned_list_drops_copies_and_can_be_read_back(diagnosis, tmp_path):
    before = sorted(diagnosis.context.dataset.root.rglob("*.png"))
    file = write_manifest(diagnosis.context, diagnosis.verdict, tmp_path / "cleaned.csv")
    with file.open(encoding="utf-8", newline="") as rows:
        entries = list(csv.DictReader(rows))
    assert list(entries[0]) == ["path", "label", "split", "action", "reason"]
    dropped = [entry for entry in entries if entry["action"] == "drop"]
    assert all(entry["reason"] and not entry["label"] for entry in dropped)
    copies = [entry for entry in dropped if "a copy of" in entry["reason"]]
    assert len(copies) >= 15
    assert all(entry["split"] == "train" for entry in copies)  # held-out pictures stay
    again = read(file)
    assert len(again) == len(entries) - len(dropped)
    assert sorted(diagnosis.context.dataset.root.rglob("*.png")) == before


def test_suspect_labels_of_a_verdict_are_relabelled(diagnosis, tmp_path):
    context = diagnosis.context
    path = context.paths[int(np.flatnonzero(np.bincount(context.duplicates)[context.duplicates] == 1)[0])]
    finding = replace(suspects(0).causes[0], examples=(Example(path=path, suggestion="class 9"),))
    verdict = replace(diagnosis.verdict, causes=(finding,))
    file = write_manifest(context, verdict, tmp_path / "cleaned.csv")
    with file.open(encoding="utf-8", newline="") as rows:
        (entry,) = [row for row in csv.DictReader(rows) if row["action"] == "relabel"]
    assert Path(entry["path"]).name == Path(path).name
    assert entry["label"] == "class 9"
    assert "it was" in entry["reason"]


def test_an_existing_file_is_not_written_over(diagnosis, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("precious")
    with pytest.raises(StorageError):
        write_manifest(diagnosis.context, diagnosis.verdict, file)
    assert file.read_text() == "precious"


def test_a_report_of_an_empty_context_needs_no_controls(tmp_path):
    context = faults.subset(faults.healthy(), []).context()
    verdict = Verdict(conclusion=Conclusion.UNDETERMINED, strength=Strength.NONE, summary="Cannot tell.")
    assert write_report(Diagnosis(verdict=verdict, context=context), tmp_path / "r.html").exists()


def test_the_edit_that_mends_the_file_is_on_the_page_in_the_text_and_in_the_json(diagnosis, tmp_path):
    won = Estimate(value=0.8, interval=(0.7, 0.9))
    edit = Edit(
        file="train.py", diff="--- a/train.py\n+++ b/train.py\n-if a<b:\n+if b<a:\n", before=won, after=won, gain=won
    )
    verdict = replace(diagnosis.verdict, edit=edit)
    page = write_report(replace(diagnosis, verdict=verdict), tmp_path / "report.html").read_text("utf-8")

    assert "+if b&lt;a:" in page
    assert "+80.0 points [70.0, 90.0]" in page
    assert "  +if b<a:\n" in text(verdict)
    assert as_json(verdict)["edit"]["gain"] == {"value": 0.8, "interval": [0.7, 0.9]}
    assert "--confirm" in text(replace(verdict, edit=replace(edit, after=None, gain=None)))
