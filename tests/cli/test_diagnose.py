"""zoo diagnose and zoo checks, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from cli import main
from diagnose import diagnosis
from tests import faults
from zoo.errors import DataError, OptionError
from zoo.statistics import STATISTICS

if not main.app.registered_commands:
    main._add_commands()


@pytest.fixture(autouse=True)
def quick_features(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Features of a tiny network in place of a real one's; the cache is the test's own."""

    def embed(dataset, cards, **_):
        looked = [faults._look(dataset.file(sample).read_bytes()) for sample in dataset.samples]
        matrix = np.array([feature for _, feature in looked], dtype=np.float16)
        statistics = np.array([record for record, _ in looked], dtype=STATISTICS)
        return SimpleNamespace(dataset=dataset, statistics=statistics, matrix=lambda _name: matrix)

    monkeypatch.setattr(diagnosis, "embed", embed)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(faults.healthy(0, 240, splits=False), tmp_path / "data")


def write(world: faults.World, folder: Path) -> Path:
    for number, (label, content) in enumerate(zip(world.labels, world.files, strict=True)):
        file = folder / world.classes[label] / f"{faults._token('cli', number)}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main.app, [str(argument) for argument in arguments])


def test_healthy_data_exits_with_zero_and_says_so_first(data: Path) -> None:
    done = run("diagnose", data)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("Nothing wrong")


def test_of_findings_with_pictures_it_is_said_how_to_see_them(tmp_path: Path) -> None:
    world = faults.healthy(0, 240, splits=False)
    folder = write(world, tmp_path / "data")
    (folder / world.classes[1] / "copy.png").write_bytes(world.files[list(world.labels).index(0)])
    assert "--report report.html" in run("diagnose", folder).stderr
    assert "--report report.html" not in run("diagnose", folder, "--report", tmp_path / "r.html").stderr
    assert not run("diagnose", folder, "--json").stderr


def test_json_is_all_there_is_on_stdout(data: Path) -> None:
    done = run("diagnose", data, "--json", "--got", "0.4")
    value = json.loads(done.stdout)
    assert value["verdict"] == "algorithm"
    assert done.exit_code == 4
    assert "positive-control" in value["controls"]


def test_the_positive_control_is_measured_once(data: Path) -> None:
    first = json.loads(run("diagnose", data, "--json").stdout)["controls"]["positive-control"]
    again = json.loads(run("diagnose", data, "--json").stdout)["controls"]["positive-control"]
    assert first["seconds"] > 0
    assert "measured before" in again["detail"]
    assert first["value"] == again["value"]


def test_pages_and_the_cleaned_list_are_written(data: Path, tmp_path: Path) -> None:
    report, review, fix = tmp_path / "r.html", tmp_path / "v.html", tmp_path / "c.csv"
    done = run("diagnose", data, "--report", report, "--review", review, "--fix", fix)
    assert done.exit_code == 0, done.output
    assert all(file.stat().st_size > 500 for file in (report, review, fix))


def test_predictions_of_another_framework_are_judged(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "preds.csv"
    rows = [f"/somewhere/{path.relative_to(data)},{path.parent.name},class 1" for path in sorted(data.rglob("*.png"))]
    file.write_text("\n".join(["path,label,predicted", *rows]), "utf-8")
    done = run("diagnose", data, "--predictions", file, "--json")
    assert json.loads(done.stdout)["verdict"] == "algorithm"
    assert done.exit_code == 4


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("--target", "95"), OptionError),
        (("--got", "0"), OptionError),
        (("--budget", "soon"), OptionError),
        (("--predictions", "none.csv"), DataError),
        (("--answers", "none.json"), DataError),
    ],
)
def test_a_wrong_option_is_told_as_an_error_that_a_person_can_mend(data: Path, arguments: tuple, kind: type) -> None:
    done = run("diagnose", data, *arguments)
    assert isinstance(done.exception, kind)
    assert done.exception.what


def test_one_class_is_told_and_not_guessed_about(tmp_path: Path) -> None:
    world = faults.healthy(0, 40, splits=False)
    folder = write(faults.World(world.files, np.zeros_like(world.labels), world.splits, world.paths), tmp_path / "one")
    done = run("diagnose", folder)
    assert done.exit_code == 6, done.output
    assert "one label" in done.stdout


def test_the_checks_are_listed_and_each_explains_itself() -> None:
    listed = json.loads(run("checks", "--json").stdout)
    assert len(listed) >= 12
    for entry in listed:
        text = run("checks", entry["name"]).stdout
        assert entry["title"] in text
        for part in ("What it does", "Why it", "Known problems", "Remedy", "References"):
            assert part in text, (entry["name"], part)


def test_a_check_is_found_by_a_cause_that_it_reports() -> None:
    assert "split-leakage" in run("checks", "split-leakage").stdout


def test_an_unknown_check_names_the_nearest() -> None:
    done = run("checks", "duplicate")
    assert isinstance(done.exception, OptionError)
    assert "duplicates" in done.exception.remedy
