"""Every mistake that a person can make at the prompt: one message that says what to do, soon, and nothing else."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import zoo
from cli import main
from tests.cli.mistakes import Prompt
from tests.zoo.tiny import two_colours

FAILED, USAGE = 1, 2
SECONDS = 1.0

COMMANDS = ["checks", "compare", "demo", "diagnose", "doctor", "evaluate", "explain", "finetune", "info", "list",
            "predict", "recommend", "report", "resume"]  # fmt: skip
#: What reads a run folder, and data; RUN and DATA stand for them.
READ_RUN = ["resume RUN", "evaluate RUN", "evaluate RUN data", "predict RUN photo.png", "explain RUN", "report RUN",
            "compare run RUN"]  # fmt: skip
READ_DATA = ["finetune lenet DATA", "finetune lenet DATA --dry-run", "diagnose DATA", "recommend DATA",
             "evaluate run DATA"]  # fmt: skip
#: A run folder that is none, and what is said of it.
NO_RUNS = {
    "nowhere": "no run folder", "empty": "no run folder", "data": "no run folder", "photo.png": "no run folder",
    "newer": "newer", "torn": "damaged", "listed": "damaged", "older": "older", "LONG": "no run folder",
}  # fmt: skip
#: Data that is none, likewise.
NO_DATA = {
    "nowhere": "nowhere", "empty": "empty", "dta": "Did you mean data", "text.txt": "text.txt", "broken.zip": "zip",
    "words.csv": "path", "blank.csv": "blank.csv", "gone.csv": "gone.csv", "broken.parquet": "parquet",
    "no pictures": "no picture", "hf:": "lacks a name", "LONG": "too long", "photo.png": "photo.png",
}  # fmt: skip
#: What writes a result; OUT stands for where, FILE where it is a file.
WRITE = ["finetune lenet data --out OUT", "demo --out OUT", "explain run --out OUT"]
WRITE_FILE = ["evaluate run data --out FILE", "predict run photo.png --out FILE", "diagnose data --report FILE",
              "diagnose data --review FILE", "diagnose data --fix FILE"]  # fmt: skip
ON_DEVICE = ["finetune lenet data", "resume run", "evaluate run", "evaluate run data", "predict run photo.png",
             "explain run", "diagnose data", "recommend data"]  # fmt: skip
SETTINGS = {
    "epochs": ["-1", "0", "many", "1.5"], "time": ["-1", "0", "soon", "10x"], "batch_size": ["0", "-3", "big"],
    "learning_rate": ["0", "-1", "fast", "nan"], "weight_decay": ["-1"], "layer_decay": ["0", "2"],
    "warmup": ["1", "-0.1"], "patience": ["0"], "clip": ["0"], "mixup": ["-1"], "val_fraction": ["0", "1"],
    "workers": ["-1", "1000"], "seed": ["-1", "x"], "recipe": ["magic"], "augmentation": ["heavy"],
    "precision": ["int4"], "flip": ["maybe"], "class_weights": ["perhaps"],
}  # fmt: skip

#: What is typed, and words of the answer. These are wrong usage.
USAGES = [
    *((f"{command} --nonsense", "--nonsense") for command in COMMANDS),
    *((f"{command} {line}", line.rpartition(" ")[2]) for command in ("list", "doctor") for line in ("a b c",)),
    ("nonsense", "nonsense"), ("finetun lenet data", "finetun"), ("--nonsense", "--nonsense"),
    ("finetune", "MODEL"), ("finetune lenet", "DATA"), ("resume", "RUN"), ("evaluate", "RUN"), ("predict", "RUN"),
    ("predict run", "IMAGES"), ("explain", "RUN"), ("report", "RUN"), ("compare", "RUN"), ("info", "MODEL"),
    ("recommend", "DATA"), ("diagnose", "DATA is missing"),
    *((f"finetune lenet data --set {name}={value}", name) for name, values in SETTINGS.items() for value in values
      if name != "time"),
    *((f"finetune lenet data --set time={value}", value) for value in SETTINGS["time"]),
    ("finetune lenet data --set epochs", "name=value"), ("finetune lenet data --set epoch=3", "'epochs'"),
    ("finetune lenet data --set =3", "setting"), ("finetune lenet data --epochs -1", "epochs"),
    ("finetune lenet data --epochs x", "--epochs"), ("finetune lenet data --time soon", "soon"),
    ("finetune lenet data --seed -1", "seed"), ("finetune lenet data --epochs", "--epochs"),
    ("finetune lenet data --config LONG", "too long"), ("finetune lenet data --config nowhere.yaml", "config.yaml"),
    ("finetune lenet data --config photo.png", "YAML"),
    ("finetune lenet data --config words.csv", "settings"), ("finetune lenet data extra", "extra"),
    ("resume run --epochs x", "--epochs"),
    *((f"{line} --device {device}", device) for line in ON_DEVICE for device in ("gpu", "cuda:x", "cpu:1")),
    *((line.replace("OUT", out), word) for line in WRITE
      for out, word in (("full", "not empty"), ("photo.png", "is a file"), ("photo.png/x", "is a file"))),
    *((line.replace("FILE", out), word) for line in WRITE_FILE
      for out, word in (("empty", "is a folder"), ("photo.png/x.csv", "is a file"))),
    ("predict run photo.png --topk 0", "--topk"), ("predict run photo.png --topk x", "--topk"),
    ("explain run --n 0", "--n"), ("explain run --method magic", "magic"), ("explain run --target nobody", "nobody"),
    ("explain run --method hirescm", "hirescam"),
    ("diagnose data --target 95", "--target 0.95"), ("diagnose data --target 0", "--target"),
    ("diagnose data --got -1", "--got"), ("diagnose data --got x", "--got"), ("diagnose data --budget soon", "--budget"),
    ("diagnose data --seed -1", "--seed"), ("diagnose data --log nowhere.csv", "nowhere.csv"),
    ("diagnose data --checkpoint nowhere.pth --model lenet", "nowhere.pth"),
    ("diagnose data --checkpoint text.txt", "--model"),
    ("diagnose data --checkpoint text.txt --model lenet --mean a", "--mean"),
    ("diagnose data --checkpoint text.txt --model lenet --std 0,1", "--std"),
    ("diagnose data --checkpoint text.txt --model lenet --size 0", "--size"),
    ("diagnose data --algorithm nowhere.py", "--init"), ("diagnose data --init text.txt", "exists"),
    ("diagnose data --command train.py", "{data}"), ("diagnose data --shortcuts nowhere.json", "nowhere.json"),
    ("list --sort size", "--sort"), ("list --max-params x", "30M"),
    ("checks nonsense", "nonsense"), ("doctor 5G", "--prune"), ("doctor 5X --prune", "5X"),
    ("compare run", "two different runs"), ("compare run run", "two different runs"),
    ("recommend data --budget soon", "soon"), ("recommend data --budget 0", "0"),
    ("recommend data --model lenet", "untrained"), ("recommend data --seed x", "--seed"),
]  # fmt: skip

#: These are not: what was named cannot be used.
FAILURES = [
    *((line.replace("RUN", run), word) for line in READ_RUN for run, word in NO_RUNS.items()),
    *((line.replace("DATA", data), word) for line in READ_DATA for data, word in NO_DATA.items()),
    *((f"{line} one class", "one class") for line in ("finetune lenet", "recommend")),
    ("report unfinished", "zoo resume"), ("evaluate unfinished", "zoo resume"),
    ("resume run --epochs 5", "a probe"), ("resume run --epochs -1", "a probe"),
    ("finetune resnt data", "'resnet'"), ("finetune nonsense data", "zoo list"), ("info resnt", "'resnet'"),
    ("info empty", "config.json"), ("info text.txt", "text.txt"), ("finetune resnet18@nowhere.pth data", "nowhere.pth"),
    ("finetune hf-hub:x/y data --offline", "offline"),
    ("info hf-hub:x/y --offline", "offline"), ("info hf-hub:a/b/c", "owner/name"),
    ("recommend data --model resnt", "'resnet'"),
    ("predict run nowhere.jpg", "nowhere.jpg"), ("predict run empty", "empty"), ("predict run text.txt", "text.txt"),
    ("explain run nowhere.jpg", "nowhere.jpg"),
    ("diagnose data --predictions nowhere.csv", "nowhere.csv"), ("diagnose data --answers nowhere.json", "nowhere.json"),
    *((f"{line} LONG", "LONG") for line in ("finetune lenet data --out", "diagnose data --fix", "evaluate run data --out",
                                            "predict run", "explain run", "diagnose data --log")),
    ("diagnose data --answers words.csv", "--review"), ("diagnose data --predictions blank.csv", "blank.csv"),
]  # fmt: skip

#: These are told by the steps that need torch, after the quick checks.
DEEP = [
    ("finetune lenet hf:nobody/nothing --offline", "offline"),
    ("finetune nonsense@text.txt data", "nonsense"), ("diagnose data --checkpoint text.txt --model resnt", "'resnet'"),
    ("diagnose data --checkpoint text.txt --model lenet", "text.txt"),
    ("finetune lenet data --out /proc/nowhere/run", "/proc"),
    ("predict run photo.png --out /proc/nowhere.csv", "/proc"),
    ("finetune lenet unusable", "No image"), ("finetune lenet data --device cuda:99", "no cuda device"),
    ("finetune resnet18 data --offline", "bundled"), ("predict run broken.png", "broken.png"),
    ("predict damaged photo.png", "damaged"), ("predict unfinished photo.png", "zoo resume"),
    ("evaluate damaged data", "damaged"), ("evaluate run other", "Known: blue, red"),
    ("info resnet18@text.txt", "text.txt"),
    ("diagnose data --predictions words.csv", "path"), ("diagnose data --log words.csv", "loss"),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that a person could confuse."""
    place = tmp_path_factory.mktemp("mistakes")
    data = two_colours(place / "data", count=6)
    photo = data / "red" / "00.png"
    shutil.copy(photo, place / "photo.png")
    for name in ("empty", "full", "no pictures/a", "one class/a", "unusable/a", "unusable/b", "other/x", "other/y"):
        (place / name).mkdir(parents=True)
    shutil.copy(photo, place / "full" / "mine.png")
    for number in range(4):
        (place / "no pictures" / "a" / f"{number}.txt").write_text("words")
        shutil.copy(photo, place / "one class" / "a" / f"{number}.png")
        for name in ("x", "y"):
            shutil.copy(photo, place / "other" / name / f"{number}.png")
        for name in ("a", "b"):
            (place / "unusable" / name / f"{number}.png").write_bytes(photo.read_bytes()[:80])
    shutil.copy(place / "unusable" / "a" / "0.png", place / "broken.png")
    texts = {"text.txt": "words\n", "words.csv": "a,b\n1,2\n", "blank.csv": "", "gone.csv": "path,label\nx.png,a\n"}
    for name, text in texts.items():
        (place / name).write_text(text)
    (place / "broken.parquet").write_bytes(b"PAR1 and then nothing")
    with zipfile.ZipFile(place / "whole.zip", "w") as archive:
        archive.write(photo, "red/0.png")
    (place / "broken.zip").write_bytes((place / "whole.zip").read_bytes()[:-40])
    _runs(place)
    return place


def _runs(place: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(place / ".cache"))
        run = zoo.finetune("lenet", place / "data", out=place / "run", offline=True, recipe="probe")
    for name in ("newer", "torn", "listed", "older", "unfinished", "damaged"):
        shutil.copytree(run.path, place / name)
    text = (run.path / "config.yaml").read_text()
    (place / "newer" / "config.yaml").write_text(text.replace("schema: 1", "schema: 9"))
    (place / "torn" / "config.yaml").write_text(text[:60])
    (place / "listed" / "config.yaml").write_text("- 1\n- 2\n")
    lines = [line for line in text.splitlines() if not line.startswith(("architecture", "arguments"))]
    (place / "older" / "config.yaml").write_text("\n".join(lines).replace("model: lenet5", "model: gone"))
    for path in (place / "unfinished").glob("predictions-*"):
        path.unlink()
    for path in ("README.md", "weights/best.safetensors"):
        (place / "unfinished" / path).unlink()
    (place / "damaged" / "weights" / "best.safetensors").write_bytes(b"nothing")


@pytest.fixture(scope="module")
def prompt(folder: Path) -> Iterator[Prompt]:
    opened = Prompt(folder)
    yield opened
    opened.close()


def _typed(line: str) -> list[str]:
    """The words of a line; a name with a blank in it is one word, and LONG is longer than names may be."""
    for name in ("no pictures", "one class"):
        line = line.replace(name, name.replace(" ", "\0"))
    return [word.replace("\0", " ").replace("LONG", "LONG" * 100) for word in line.split(" ")]


def _assert_clear(err: str, word: str) -> None:
    assert "Traceback" not in err
    assert word in err
    if err.startswith("Usage:"):  # typer's own: an argument that is missing or of the wrong kind
        assert "Error: " in err
        return
    first, *rest = err.splitlines()
    if first.endswith("requires an argument."):
        return
    assert first.startswith("Error: ")
    assert len(first) > len("Error: ") + 10
    assert rest, "there is no word on what to do"
    assert all(remedy.startswith("       ") for remedy in rest)
    assert len(err) < 1500


def _untouched(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*") if ".cache" not in path.parts and path.name != "lock")


def _assert_told_at_once(prompt: Prompt, line: str, word: str, *, status: int) -> None:
    told = prompt.type(*_typed(line))
    assert told.status == status, told
    _assert_clear(told.err, word)
    assert told.out == ""
    assert not told.torch
    assert told.seconds < SECONDS


@pytest.mark.parametrize(("line", "word"), USAGES)
def test_wrong_usage_is_told_at_once(line: str, word: str, prompt: Prompt) -> None:
    _assert_told_at_once(prompt, line, word, status=USAGE)


@pytest.mark.parametrize(("line", "word"), FAILURES)
def test_what_cannot_be_used_is_told_before_anything_slow(line: str, word: str, prompt: Prompt) -> None:
    _assert_told_at_once(prompt, line, word, status=FAILED)


@pytest.mark.parametrize(("line", "word"), DEEP)
def test_what_only_the_work_shows_is_told_as_clearly(
    line: str, word: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _untouched(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ZOO_CACHE", str(folder / ".cache"))
    monkeypatch.setattr(sys, "argv", ["zoo", *_typed(line)])
    with pytest.raises(SystemExit) as ended:
        main.main()
    said = capsys.readouterr()
    assert ended.value.code in {FAILED, USAGE}, said
    _assert_clear(said.err[said.err.index("Error: ") :], word)
    assert said.out == ""
    assert _untouched(folder) == before


@pytest.mark.parametrize("line", ["finetune lenet data --epochs -1", "finetune lenet nowhere", "nonsense",
                                  "diagnose data --target 95", "resume nowhere", "explain nowhere", "info resnt"])  # fmt: skip
def test_a_mistake_costs_less_than_a_second_of_a_new_process(line: str, folder: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "cli", *line.split()], cwd=folder, capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}, check=False)  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode in {FAILED, USAGE}
    assert done.stderr.count("Error: ") == 1
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SECONDS


def test_a_mistake_changes_nothing_on_the_disk(prompt: Prompt, folder: Path) -> None:
    before = _untouched(folder)
    for line in ("finetune lenet one\0class", "finetune lenet data --epochs 0", "explain run --n 0", "demo --out full"):
        assert prompt.type(*(word.replace("\0", " ") for word in line.split(" "))).status in {FAILED, USAGE}
    assert _untouched(folder) == before


def test_an_error_leaves_stdout_to_json(prompt: Prompt) -> None:
    told = prompt.type("list", "lenet", "--json")
    assert told.status == 0
    assert json.loads(told.out)[0]["name"] == "lenet5"
    assert prompt.type("evaluate", "nowhere", "--json").out == ""


def test_every_command_is_among_those_that_are_mistyped() -> None:
    if not main.app.registered_commands:
        main._add_commands()
    assert {command.name for command in main.app.registered_commands} == set(COMMANDS)
