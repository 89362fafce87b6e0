"""One fine-tuning in several processes, on loopback: the result of one process, written once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zoo
from tests.zoo.children import context, take_part
from tests.zoo.tiny import two_colours

#: float32, and nothing that a process draws or measures for itself; 10 images are not divisible by 3.
TUNED = {
    "model": "lenet", "recipe": "finetune", "epochs": 10, "batch_size": 10, "precision": "no", "mixup": 0, "seed": 1,
    "patience": 10,
}  # fmt: skip


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return two_colours(tmp_path / "data")


def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def together(count: int, data: Path, folder: Path, cache: Path, **choices: Any) -> list[int]:
    """How the processes ended that took part in one fine-tuning."""
    forks, number = context(), port()
    group = [
        forks.Process(target=take_part, args=(rank, count, number, folder, data, cache), kwargs=choices)
        for rank in range(count)
    ]
    for process in group:
        process.start()
    for process in group:
        process.join(120)
    return [process.exitcode if process.exitcode is not None else -1 for process in group]


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_several_processes_give_the_result_of_one(data: Path, tmp_path: Path, count: int) -> None:
    one = zoo.finetune(data=data, out=tmp_path / "one", offline=True, **TUNED)
    assert together(count, data, tmp_path / "several", tmp_path / "other", **TUNED) == [0] * count
    several = zoo.Run.open(tmp_path / "several")
    assert several.predictions("val").paths == one.predictions("val").paths
    difference = several.predictions("val").probabilities - one.predictions("val").probabilities
    assert np.abs(difference).max() < 1e-3
    rows = [
        [(r.train_loss, r.val_loss) for r in zoo.job.read_rows(run.path) if r.name == "epoch"] for run in (one, several)
    ]
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-3)
    lines = [line for line in (several.path / "log.txt").read_text().splitlines() if line.startswith("epoch")]
    assert len(lines) == 10
    assert several.finished


@pytest.mark.slow
def test_a_run_of_one_process_can_be_resumed_by_two(data: Path, tmp_path: Path) -> None:
    whole = zoo.finetune(data=data, out=tmp_path / "whole", offline=True, **{**TUNED, "epochs": 4})
    zoo.finetune(data=data, out=tmp_path / "run", offline=True, **{**TUNED, "epochs": 2})
    assert together(2, data, tmp_path / "run", tmp_path / "cache", epochs=4) == [0, 0]
    run = zoo.Run.open(tmp_path / "run")
    assert run.config.settings.epochs == 4
    assert len([row for row in zoo.job.read_rows(run.path) if row.name == "epoch"]) == 4
    assert run.predictions("val").paths == whole.predictions("val").paths


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher",
    [
        # Without --multi_gpu or mpirun, accelerate starts one process (its issue 2741).
        ["-m", "accelerate.commands.launch", "--num_processes", "2", "--cpu", "-m"],
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"],
    ],
    ids=["accelerate", "torchrun"],
)
def test_the_command_line_can_be_launched_in_several_processes(data: Path, tmp_path: Path, launcher: list[str]) -> None:
    one = zoo.finetune(data=data, out=tmp_path / "one", offline=True, **{**TUNED, "epochs": 3})
    settings = [f"--set={name}={value}" for name, value in TUNED.items() if name not in {"model", "epochs"}]
    command = [
        sys.executable,
        *launcher,
        "cli",
        "finetune",
        "lenet",
        str(data),
        "--epochs",
        "3",
        "--offline",
        "--device",
    ]
    done = subprocess.run(
        [*command, "cpu", "--out", str(tmp_path / "run"), *settings], cwd=Path(__file__).parents[2], check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.count("next     zoo predict") == 1
    run = zoo.Run.open(tmp_path / "run")
    difference = run.predictions("val").probabilities - one.predictions("val").probabilities
    assert np.abs(difference).max() < 1e-3
