"""Fine-tunings in processes of their own, forked from one that has imported everything: they start in milliseconds.

That process (Python's fork server) runs nothing of PyTorch, so it has no threads that a fork would lose.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from tests.zoo.disk import Point, watched

_IMPORTED = ["zoo.finetuning", "zoo.recipes.finetune", "tests.zoo.children", "timm", "sklearn.linear_model"]


def context() -> ForkServerContext:
    """Starts the fork server, on one core and with this checkout's packages."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(_IMPORTED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        multiprocessing.forkserver.ensure_running()
    return found


def advance(folder: Path, data: Path, cache: Path, deadly: int | None = None, **choices: Any) -> None:
    """Fine-tunes into ``folder``, or goes on there; the process kills itself at the call of number ``deadly``."""
    import zoo

    os.environ["ZOO_CACHE"] = str(cache)
    with dying(deadly):
        if (folder / "config.yaml").exists():
            zoo.resume(folder, offline=True)
        else:
            zoo.finetune(data=data, out=folder, offline=True, **choices)


def take_part(rank: int, count: int, port: int, folder: Path, data: Path, cache: Path, **choices: Any) -> None:
    """One of several processes of a fine-tuning, told so as torchrun does; goes on where there is a run."""
    import zoo

    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port), "ZOO_CACHE": str(cache),
    }  # fmt: skip
    if (folder / "config.yaml").exists():
        zoo.resume(folder, offline=True, **choices)
    else:
        zoo.finetune(data=data, out=folder, offline=True, **choices)


def race(folder: Path, data: Path, out: str | None, gate: Barrier, names: SimpleQueue[str]) -> None:
    """Makes a run folder at the moment that the others do, and tells its name; ``refused`` where that was an error."""
    from zoo.catalog import card
    from zoo.data import read
    from zoo.errors import OptionError
    from zoo.run import Run
    from zoo.run_config import RunConfig
    from zoo.settings import Settings

    os.chdir(folder)
    model, dataset = card("lenet"), read(data)
    config = RunConfig(
        model=model.name, architecture=model.architecture, data=str(data), settings=Settings(), version="1",
        classes=dataset.classes, preprocess=model.preprocess,
    )  # fmt: skip
    gate.wait()
    try:
        names.put(Run.create(config, dataset, out=folder / out if out else None).path.name)
    except OptionError:
        names.put("refused")


@contextmanager
def dying(deadly: int | None) -> Iterator[None]:
    """``kill -9`` at that call that changes the disk."""
    count = 0

    def notice(_: Point) -> None:
        nonlocal count
        count += 1
        if count == deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    with watched(notice):
        yield


def killed(process: BaseProcess) -> bool:
    """Waits for the process, and tells whether it was killed. Anything else than that or success is an error."""
    process.join()
    assert process.exitcode in {0, -signal.SIGKILL}, f"the process ended with {process.exitcode}"
    return process.exitcode != 0
