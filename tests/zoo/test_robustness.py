"""A run that is killed, finds the disk full, or is not alone: nothing is lost, and the result is the same."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import zoo
from tests.zoo.children import advance, context, killed, race
from tests.zoo.disk import Point, full, watched
from tests.zoo.tiny import two_colours
from zoo import claim
from zoo.checkpoints import Checkpoints
from zoo.errors import RunError, StorageError
from zoo.job import read_rows

TUNED = {"model": "lenet", "recipe": "finetune", "epochs": 3}
PROBED = {"model": "efficientnet_lite0", "recipe": "probe"}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return two_colours(tmp_path / "data")


def phase(folder: Path) -> str:
    """What a run was at when it was killed, by the last line of its log."""
    log = folder / "log.txt"
    last = log.read_text().splitlines()[-1:] if log.exists() else []
    line = last[0] if last else ""
    if line.startswith(f"epoch {TUNED['epochs']}:"):
        return "choosing"
    stages = {"fine-tuning": "training", "epoch": "training", "On validation": "reporting"}
    return next((stage for start, stage in stages.items() if line.startswith(start)), "preparing")


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*")]


def recorded(data: Path, folder: Path, choices: dict[str, Any]) -> list[Point]:
    """Every call of an undisturbed run that changes the disk."""
    points: list[Point] = []
    with watched(points.append):
        zoo.finetune(data=data, out=folder, offline=True, **choices)
    return points


class Victims:
    """Processes that fine-tune and are killed.

    Attributes:
        at: What they were doing, and how often.
    """

    def __init__(self, data: Path, folder: Path, choices: dict[str, Any]) -> None:
        self.data, self.folder, self.choices = data, folder, choices
        self.at: Counter[str] = Counter()
        self.forks, self.random = context(), random.Random(1)
        self.calls = len(recorded(data, folder / "recorded", choices))
        self.attempt("first")
        begun = time.monotonic()
        self.attempt("undisturbed")
        self.seconds = time.monotonic() - begun

    def attempt(self, name: str, *, deadly: int | None = None, seconds: float | None = None) -> None:
        """Starts a run or goes on with it; kills it at a call that changes the disk, or after some seconds."""
        folder = self.folder / name
        arguments = (folder, self.data, self.folder / f"{name}-cache", deadly)
        process = self.forks.Process(target=advance, args=arguments, kwargs=self.choices)
        process.start()
        if seconds is not None:
            process.join(seconds)
            process.kill()
        if killed(process):
            self.at[phase(folder)] += 1

    def kill(self, name: str) -> None:
        """Starts a run or goes on with it, and kills it at a random moment, unless it ends before."""
        if self.random.random() < 0.5:
            self.attempt(name, seconds=self.random.uniform(0, self.seconds))
        else:  # by the clock, the moments of writing would hardly be met
            self.attempt(name, deadly=self.random.randint(1, self.calls))


@pytest.mark.slow
@pytest.mark.parametrize(("choices", "kills"), [(TUNED, 32), (PROBED, 6)], ids=["finetune", "probe"])
def test_a_run_that_is_killed_at_any_moment_ends_as_if_undisturbed(
    data: Path, tmp_path: Path, choices: dict[str, Any], kills: int
) -> None:
    victims = Victims(data, tmp_path, choices)
    expected = (tmp_path / "undisturbed" / "predictions-val.csv").read_bytes()
    ended = 0
    while victims.at.total() < kills:
        folder = tmp_path / f"run{ended}"
        while not (folder / "README.md").exists():
            victims.kill(folder.name)
        assert (folder / "predictions-val.csv").read_bytes() == expected
        assert hidden(folder) == []
        ended += 1
    if choices is TUNED:
        assert {"preparing", "training", "reporting"} <= set(victims.at)


def assert_whole(folder: Path) -> None:
    """Every file of a run that is there can be read to its end."""
    run = zoo.Run.open(folder)
    assert len(run.dataset()) == 40
    assert json.loads((folder / "env.json").read_text())
    for weights in folder.rglob("*.safetensors"):
        assert load_file(weights)
    if (folder / "state" / "training.pt").exists():
        state, _ = Checkpoints(folder / "state").load()
        assert all((folder / "state" / f"candidate-{epoch:04d}.safetensors").exists() for epoch in state.candidates)
    read_rows(folder)
    if (folder / "predictions-val.csv").exists():
        assert len(run.predictions("val").paths) == 8
    assert hidden(folder) == []


@pytest.mark.slow
def test_a_disk_that_is_full_at_any_write_leaves_the_last_good_state_and_the_run_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "undisturbed" / "cache"))
    whole = tmp_path / "undisturbed" / "run"
    points = dict.fromkeys(recorded(data, whole, TUNED))  # each once, in their order
    expected = (whole / "predictions-val.csv").read_bytes()
    ended = 0
    told: dict[Point, str] = {}
    for point in points:
        folder = tmp_path / str(ended) / "run"
        try:
            with watched(lambda called, point=point: full(called) if called == point else None):
                advance(folder, data, tmp_path / "cache", **TUNED)
        except StorageError as error:
            told[point] = str(error)
        else:  # what is only kept to save time later is done without
            assert (folder / "predictions-val.csv").read_bytes() == expected
            ended += 1
        if (folder / "config.yaml").exists():
            assert_whole(folder)
    advance(folder, data, tmp_path / "cache", **TUNED)
    assert (folder / "predictions-val.csv").read_bytes() == expected
    assert len(told) > 60
    assert all("could not be written" in text for text in told.values())
    assert all("disk is full" in text and "Make room" in text for point, text in told.items() if point.call != "write")
    assert len({point.name for point in points}) > 20


@pytest.mark.slow
@pytest.mark.parametrize("out", [None, "shared"])
def test_runs_started_at_once_never_share_a_folder(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    forks = context()
    gate, names = forks.Barrier(6), forks.SimpleQueue()
    racers = [forks.Process(target=race, args=(tmp_path, data, out, gate, names)) for _ in range(6)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
        assert racer.exitcode == 0
    found = sorted(names.get() for _ in racers)
    if out is None:
        assert found == [f"lenet5-data-{number:03d}" for number in range(1, 7)]
        assert (tmp_path / "runs" / "latest").resolve().name in found
        assert not list((tmp_path / "runs").glob(".*"))
    else:
        assert found == ["refused"] * 5 + ["shared"]
        assert zoo.Run.open(tmp_path / out).dataset().name == "data"


def test_a_run_that_is_being_trained_is_refused_to_a_second_process(data: Path, tmp_path: Path) -> None:
    run = zoo.finetune("lenet", data, out=tmp_path / "run", offline=True, recipe="probe")
    run.mark_unfinished()
    before = (run.path / "config.yaml").read_bytes()
    with run.training(), pytest.raises(RunError, match="Another process is training"):
        zoo.resume(run.path, offline=True)
    assert (run.path / "config.yaml").read_bytes() == before
    assert zoo.resume(run.path, offline=True).finished


def test_a_draft_of_a_process_that_died_is_removed_once_it_is_old(tmp_path: Path) -> None:
    fresh, old = tmp_path / ".new-run-a", tmp_path / ".new-run-b"
    for path in (fresh, old):
        path.mkdir()
        (path / "env.json").write_text("{}")
    os.utime(old, (time.time() - 7200,) * 2)
    with claim.draft(tmp_path / "run") as draft:
        assert draft.path.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [".new-run-a"]
