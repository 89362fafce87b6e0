"""Data that hardly anything can be told of: a clear message, or a verdict that says what cannot be told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from cli import main
from diagnose import diagnosis
from zoo.errors import DataError

if not main.app.registered_commands:
    main._add_commands()


@pytest.fixture(autouse=True)
def looked_at_without_a_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The true pass over the files, without a backbone: its statistics stand in for features."""
    through = diagnosis.embed

    def embed(dataset, cards, **options):
        found = through(dataset, [], **options)
        grey = found.statistics["grey"].reshape(len(found.dataset), 32 * 32).astype("float16")
        return _Looked(found.dataset, found.statistics, grey)

    monkeypatch.setattr(diagnosis, "embed", embed)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))


class _Looked:
    def __init__(self, dataset, statistics, matrix) -> None:
        self.dataset, self.statistics, self._matrix = dataset, statistics, matrix

    def matrix(self, _name: str):
        return self._matrix


def write(folder: Path, counts: dict[str, int], *, alike: bool = False) -> Path:
    """Pictures of bands, ``counts`` of each class; all the same where ``alike``."""
    number = 0
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for _ in range(count):
            number += 0 if alike else 1
            picture = Image.linear_gradient("L").rotate(37 * number).resize((32, 32))
            picture.save(folder / name / f"{len(list((folder / name).iterdir())):03d}.png")
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main.app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("counts", "alike", "reason"),
    [
        ({"cat": 12}, False, "one label"),
        ({"cat": 2, "dog": 1}, False, "3 pictures are too few"),
        ({"cat": 12, "dog": 1}, False, "fewer than two classes have two pictures"),
        ({"cat": 10, "dog": 10}, True, "the same picture"),
    ],
    ids=["one class", "three pictures", "a class with one picture", "all identical"],
)
def test_data_that_nothing_can_be_told_of_says_why(tmp_path, counts, alike, reason):
    done = run("diagnose", write(tmp_path / "data", counts, alike=alike))
    assert done.exit_code == 6, done.output
    assert done.stdout.startswith("Cannot tell")
    assert reason in " ".join(done.stdout.split())


def test_where_labels_alone_say_that_nothing_can_be_learnt_no_model_looks_at_the_pictures(tmp_path):
    context = diagnosis.diagnose_fully(write(tmp_path / "data", {"cat": 12}, alike=False)).context
    assert context is not None
    assert (len(context.statistics), context.embeddings) == (12, {})


def test_data_that_cannot_be_read_says_why_and_its_pages_are_written_all_the_same(tmp_path):
    folder = tmp_path / "data"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(10):
            (folder / name / f"{number}.jpg").write_bytes(b"no picture")
    pages = [tmp_path / name for name in ("report.html", "review.html", "fixed.csv")]
    done = run("diagnose", folder, "--json", "--report", pages[0], "--review", pages[1], "--fix", pages[2])
    assert done.exit_code == 6, done.output
    assert "no picture can be read" in json.loads(done.stdout)["summary"]
    assert all(page.stat().st_size for page in pages)
    assert pages[2].read_text().count(",drop,") == 20


@pytest.mark.parametrize("made", [False, True], ids=["nothing in it", "empty classes"])
def test_an_empty_folder_is_refused_with_what_is_wanted(tmp_path, made):
    folder = tmp_path / "data"
    (folder / "cat").mkdir(parents=True) if made else folder.mkdir()
    done = run("diagnose", folder)
    assert isinstance(done.exception, DataError)
    assert "one folder of pictures for each class" in done.exception.remedy


HEAD = "path,label,predicted,prob:cat,prob:dog\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "other/1.png,cat,cat,1,0\n", "not in the data"),
        ("file,lable,predcted\ncat/000.png,cat,cat\n", "no column 'predicted'"),
        (HEAD + "cat/000.png,cat,zebra,1,0\n", "'zebra'"),
        (HEAD + "cat/000.png,zebra,cat,1,0\n", "'zebra'"),
        (HEAD + "cat/000.png,cat,cat,nan,nan\n", "NaN"),
        (HEAD + "cat/000.png,cat,cat,-3,7\n", "logits"),
        (HEAD, "holds no predictions"),
    ],
    ids=["other files", "mistyped columns", "unknown prediction", "unknown label", "NaN", "logits", "no rows"],
)
def test_predictions_that_do_not_fit_are_refused_before_the_pass(tmp_path, monkeypatch, text, message):
    monkeypatch.setattr(diagnosis, "embed", lambda *_, **__: pytest.fail("the pictures were looked at"))
    folder = write(tmp_path / "data", {"cat": 6, "dog": 6})
    (tmp_path / "predictions.csv").write_text(text)
    done = run("diagnose", folder, "--predictions", tmp_path / "predictions.csv")
    assert isinstance(done.exception, DataError)
    assert message in str(done.exception)
