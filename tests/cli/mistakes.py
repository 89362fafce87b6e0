"""A process that has imported the light half of the commands, and forks for each line typed into it.

A new Python a mistake would cost half a minute of imports in all. It reads one JSON list of arguments a line, and
answers each with one JSON object: exit status, what was printed, seconds of processor time, and whether torch came.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PRELOADED = ["cli.main", "cli.output", "numpy", "PIL.Image", "yaml", "zoo.finetuning", "zoo.evaluation"]


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a person got to see, and what it cost."""

    status: int
    out: str
    err: str
    seconds: float
    torch: bool


class Prompt:
    """A shell prompt of a person who mistypes: ``zoo`` in a folder.

    Args:
        folder: The working folder; commands are to change nothing in it.
    """

    def __init__(self, folder: Path) -> None:
        environment = os.environ | {
            "PYTHONPATH": str(Path(__file__).parents[2]), "ZOO_CACHE": str(folder / ".cache"), "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(folder / ".hub"), "TORCH_HOME": str(folder / ".torch"),
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.mistakes"], cwd=folder, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def type(self, *arguments: str) -> Told:
        """``zoo`` with these arguments."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        return Told(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def _answer(arguments: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err, tempfile.TemporaryFile("w+") as fact:
        child = os.fork()
        if child == 0:
            _be_typed(arguments, out.fileno(), err.fileno(), fact.fileno())
        _, status, used = os.wait4(child, 0)
        for file in (out, err, fact):
            file.seek(0)
        return {
            "status": os.waitstatus_to_exitcode(status), "out": out.read(), "err": err.read(),
            "seconds": used.ru_utime + used.ru_stime, "torch": fact.read() == "torch",
        }  # fmt: skip


def _be_typed(arguments: list[str], out: int, err: int, fact: int) -> None:
    import traceback

    from cli import main

    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.argv = ["zoo", *arguments]
    status = 99
    try:
        main.main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 98
    except BaseException:  # noqa: BLE001 - a person would see it
        traceback.print_exc()
    finally:
        if "torch" in sys.modules:
            os.write(fact, b"torch")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _serve() -> None:
    for name in _PRELOADED:
        __import__(name)
    for line in sys.stdin:
        sys.__stdout__.write(json.dumps(_answer(json.loads(line))) + "\n")  # type: ignore[union-attr]
        sys.__stdout__.flush()  # type: ignore[union-attr]


if __name__ == "__main__":
    _serve()
