"""Ctrl-C, as a person at a terminal sees it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import zoo
from cli import main
from tests.zoo.tiny import two_colours
from zoo import evaluation
from zoo.data import source

STOPPED = 130


@pytest.fixture
def data(caches: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(caches)
    return two_colours(caches / "my pictures")


def typed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Runs ``zoo`` with these arguments in this process, and gives its exit status."""
    monkeypatch.setattr(sys, "argv", ["zoo", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return int(str(ended.value.code or 0))


def test_a_fine_tuning_names_the_command_that_goes_on_with_it(data: Path) -> None:
    command = [sys.executable, "-m", "cli", "finetune", "lenet", str(data), "--epochs", "2000", "--offline"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}) as run:
        assert run.stderr is not None
        assert next(line for line in run.stderr if line.startswith("epoch 1:"))
        run.send_signal(signal.SIGINT)
        said = run.stderr.read()
    assert run.returncode == STOPPED, said
    assert "Traceback" not in said
    found = re.search(r"Go on with: zoo resume (.+)", said)
    assert found, said
    (folder,) = shlex.split(found[1])
    stopped = zoo.Run.open(folder)
    assert not stopped.finished
    assert (stopped.path / "state" / "training.pt").exists()


@pytest.mark.parametrize("command", ["diagnose", "recommend", "finetune"])
def test_a_command_that_is_stopped_before_there_is_a_run_names_itself(
    command: str, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(source, "read_folder", stop)
    arguments = [command, *(["lenet"] if command == "finetune" else []), str(data), "--seed", "3"]
    assert typed(monkeypatch, *arguments) == STOPPED
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith(f"Go on with: zoo {shlex.join(arguments)}\n")
    assert not (data.parent / "runs").exists()


def test_the_commands_that_are_named_may_be_typed_as_they_stand(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = zoo.finetune("lenet", data, out="my run", recipe="probe", offline=True)
    assert typed(monkeypatch, "evaluate", str(run.path)) == 0
    assert f"zoo predict '{run.path}' IMAGE" in capsys.readouterr().out

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "predict", stop)
    assert typed(monkeypatch, "predict", str(run.path), str(data)) == STOPPED
    assert "Go on with: zoo predict" in capsys.readouterr().err
