"""A training as a command: run on copies, and judged by what it writes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from diagnose.black_box.layout import layout_of
from diagnose.black_box.process import arguments, run
from diagnose.black_box.scores import read_score
from diagnose.findings import Outcome
from diagnose.ladder.command import command_rung
from diagnose.submission import Submission
from tests.diagnose.fences import HAS_FENCE
from zoo.errors import OptionError

#: A training without torch: the nearest mean picture. What is held out lies in val/.
SCRIPT = """
import argparse, csv, shutil
from pathlib import Path
import numpy as np
from PIL import Image

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=Path)
parser.add_argument("--out", type=Path)
options = parser.parse_args()

def pictures(split):
    files = sorted((options.data / split).rglob("*.png"))
    pixels = [np.asarray(Image.open(f).convert("RGB").resize((8, 8)), dtype=float).ravel() for f in files]
    return files, np.array(pixels), np.array([f.parent.name for f in files])

_, x, y = pictures("train")
files, held, truth = pictures("val")
classes = np.unique(y)
means = np.array([x[y == c].mean(0) for c in classes])
def predict(x):
    return classes[((x[:, None] - means[None]) ** 2).sum(2).argmin(1)]
predicted = predict(held)
#HERE
with open(options.out / "predictions.csv", "w") as stream:
    writer = csv.writer(stream)
    writer.writerow(["path", "label", "predicted"])
    writer.writerows([f.relative_to(options.data), t, p] for f, t, p in zip(files, truth, predicted))
"""


@pytest.fixture
def rung(colours, tmp_path):
    """The rung for the script with a line put in, or another text."""

    def look(line: str = "", *, text: str | None = None, budget: float = 120, known_good=None):
        folder = tmp_path / "theirs"
        folder.mkdir()
        (folder / "train.py").write_text(SCRIPT.replace("#HERE", line) if text is None else text)
        command = f"{sys.executable} train.py --data {{data}} --out {{out}}"
        return command_rung(colours, command, budget=budget, folder=folder, known_good=known_good)

    return look


def failed(rung) -> set[str]:
    return {finding.cause for finding in rung.findings if finding.outcome is Outcome.FAIL}


def test_a_sound_command_fills_the_matrix_and_has_no_finding(rung):
    seen = rung()

    assert failed(seen) == set()
    assert {c.name for c in seen.controls} == {"own-code", "theirs", "tiny-subset", "own-shuffled-labels"}
    assert seen.yours.value > 0.95
    assert abs(seen.gap.value) < 0.05
    assert seen.own_code.value > 0.7


def test_a_reference_stronger_than_the_probe_is_what_a_command_is_held_against(rung, colours):
    seen = rung(known_good=(colours.labels + 1) % 3)  # wrong on every picture

    assert seen.gap.value < -0.9


def test_a_command_that_learns_nothing_cannot_learn_a_few_pictures_by_heart(rung):
    seen = rung("predicted = np.full(len(files), classes[0])")

    assert "cannot-memorise" in failed(seen)
    assert seen.own_code.value < 0.6
    assert seen.gap.value > 0.5


def test_a_score_of_the_training_pictures_does_not_fall_with_shuffled_labels(rung):
    text = SCRIPT.replace('pictures("val")', 'pictures("train")').replace("predict(held)", "truth")

    assert "evaluation" in failed(rung(text=text))


def test_an_accuracy_that_its_own_predictions_do_not_have_is_named(rung):
    assert "evaluation" in failed(rung("(options.out / 'log.txt').write_text('test accuracy: 55.5 %')"))


def test_a_crash_is_a_finding_with_the_line(rung):
    seen = rung("raise KeyError('colour')")
    (crash,) = [f for f in seen.findings if f.cause == "crash"]

    assert "KeyError: 'colour' (train.py:24)" in crash.message
    assert seen.yours is None


def test_a_command_without_an_end_is_ended_and_not_blamed(rung):
    seen = rung("import time; time.sleep(600)", budget=6)

    assert failed(seen) == set()
    assert "a larger --budget" in seen.not_tested[0].needs


def test_where_a_command_without_an_end_hangs_is_told(rung):
    seen = rung("import time\nwhile True: time.sleep(0.1)", budget=40)

    assert "it was at train.py:25" in seen.not_tested[0].needs


@pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", HAS_FENCE], check=False).returncode != 0, reason="the kernel has no Landlock"
)
def test_a_command_that_writes_elsewhere_is_refused_and_not_blamed(rung, tmp_path):
    precious = tmp_path / "best.pth"
    precious.write_text("keep")
    seen = rung(f"open({str(precious)!r}, 'w').write('lost')")

    assert precious.read_text() == "keep"
    assert failed(seen) == set()
    assert "writes under {out} alone" in seen.not_tested[0].needs
    assert "train.py:24" in seen.not_tested[0].needs


def test_memory_without_end_is_a_crash_with_its_line(rung, monkeypatch):
    monkeypatch.setattr("diagnose.black_box.process._MEMORY", 0.05)
    (crash,) = [f for f in rung("hoard = np.ones(10**12)").findings if f.cause == "crash"]

    assert "Unable to allocate" in crash.message
    assert "train.py:24" in crash.message


def test_a_command_that_says_no_accuracy_is_told_what_is_understood(rung):
    seen = rung(text="print('done')")

    assert "predictions.csv" in seen.not_tested[0].needs


def test_the_command_works_on_copies(rung, colours, tmp_path):
    before = {path: path.read_bytes() for path in colours.dataset.root.rglob("*.png")}
    rung("shutil.rmtree(options.data); Path('train.py').unlink()")

    assert {path: path.read_bytes() for path in colours.dataset.root.rglob("*.png")} == before
    assert (tmp_path / "theirs" / "train.py").exists()


def test_the_data_is_laid_out_as_theirs_is(colours):
    layout = layout_of(colours.dataset)

    assert layout.folders == ("blue", "green", "red")
    # The given splits are in no folder names here, so the usual ones are used.
    assert layout.path(colours.dataset.samples[0], "1.png") == "train/blue/1.png"


@pytest.mark.parametrize(
    ("name", "content", "accuracy"),
    [
        ("metrics.csv", "epoch,train_loss,val_accuracy\n1,1,0.5\n2,0.9,0.75\n", 0.75),
        ("results.json", '{"train_accuracy": 0.9, "val_acc": 75.0}', 0.75),
        ("run.log", "epoch 1 train acc 0.9\nepoch 1 val acc: 0.75\nepoch 2 train acc 0.95\n", 0.75),
        ("run.txt", "Accuracy on the test set = 75.0%\n", 0.75),
        ("run.txt", "top-1: 0.5\ntop-1: 0.75\n", 0.75),
    ],
)
def test_an_accuracy_is_read_from_what_people_write(colours, tmp_path, name, content, accuracy):
    (tmp_path / name).write_text(content)

    assert read_score(tmp_path, "", colours.dataset).accuracy == pytest.approx(accuracy)


def test_what_is_printed_counts_last(colours, tmp_path):
    assert read_score(tmp_path, "final accuracy: 0.6", colours.dataset).accuracy == 0.6
    assert read_score(tmp_path, "loss 0.3", colours.dataset) is None


def test_mistakes_in_the_command_are_usage_errors(tmp_path):
    with pytest.raises(OptionError, match="must name"):
        Submission(command="python train.py")
    with pytest.raises(OptionError, match="quotes"):
        arguments('python "train.py --data {data} --out {out}', data=tmp_path, out=tmp_path)
    with pytest.raises(OptionError, match="cannot be started"):
        run(["no-such-program"], folder=tmp_path, scratch=tmp_path, seconds=1)


def test_a_budget_that_is_spent_runs_nothing(rung, tmp_path):
    trace = tmp_path / "ran"
    found = rung(f"Path({str(trace)!r}).touch()", budget=0.0)
    assert not trace.exists()
    assert found.findings == found.controls == ()
    assert {entry.needs for entry in found.not_tested} == {"a larger --budget"}
