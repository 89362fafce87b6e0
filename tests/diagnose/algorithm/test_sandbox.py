"""A person's code runs on copies, within limits; whatever it does comes back as a finding with its line."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.faults.registry import CODE_FAULTS, planted, source_of
from diagnose.algorithm import ExamineOptions, examine
from diagnose.findings import Outcome
from diagnose.sandbox.measurements import (
    Loaded,
    LossFacts,
    Mishap,
    ModelFacts,
    RunFacts,
    StepFacts,
    Variant,
    decode,
    encode,
)
from diagnose.sandbox.session import Request, Sandbox
from tests.diagnose.fences import HAS_FENCE
from zoo.errors import OptionError

BASE = source_of("base")
PLANTED = {fault.name: planted(BASE, fault, -1) for fault in CODE_FAULTS}
fenced = pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", HAS_FENCE], check=False).returncode != 0, reason="the kernel has no Landlock"
)


@pytest.fixture
def ask(tmp_path, pictures):
    """Run one experiment on an algorithm file with the given text, in a sandbox of its own."""

    def run(text: str, experiment: str = "load", kind: type = Loaded, seconds: float = 60.0):
        path = tmp_path / "theirs" / "train.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        with Sandbox(path, reference="small_cnn", memory=4096) as sandbox:
            sandbox.provide("theirs", pictures)
            return sandbox.ask(Request(experiment=experiment, seconds=seconds, train=64, validation=32), kind)

    return run


def test_an_exception_comes_back_with_its_line_and_what_was_printed(ask):
    mishap = ask("print('so far')\n\nimport no_such_module\n")

    assert isinstance(mishap, Mishap)
    assert (mishap.kind, mishap.line, mishap.source) == ("crash", 3, "import no_such_module")
    assert mishap.output == "so far"


def test_what_a_file_keeps_of_one_training_is_not_there_in_the_next(tmp_path, pictures):
    """A moving average of the weights, begun with the first model that the step is given."""
    keep = "    if not AVERAGE:\n        AVERAGE.append([p.detach().clone() for p in model.parameters()])\n"
    keep += (
        "    for mean, p in zip(AVERAGE[0], model.parameters(), strict=True):\n        mean.lerp_(p.detach(), 0.1)\n"
    )
    text = BASE.replace("    return loss.detach()\n", f"{keep}    return loss.detach()\n")
    text = text.replace("def train_step(", "AVERAGE = []\n\n\ndef train_step(")
    path = tmp_path / "train.py"
    path.write_text(text, encoding="utf-8")

    with Sandbox(path, reference="small_cnn", memory=4096) as sandbox:
        sandbox.provide("theirs", pictures)
        kinds = {"loss": LossFacts, "step": StepFacts, "train": RunFacts}
        found = {
            name: sandbox.ask(Request(experiment=name, train=64, validation=32), kind) for name, kind in kinds.items()
        }

    assert text.count("AVERAGE") == 4
    assert {name: type(facts) for name, facts in found.items()} == kinds
    assert found["loss"].through == "loss"


def test_a_syntax_error_has_its_line(ask):
    mishap = ask("EPOCHS = 3\ndef build_model(:\n")

    assert (mishap.kind, mishap.line) == ("crash", 2)


@pytest.mark.parametrize("leave", ["sys.exit(0)", "exit()", "os._exit(3)"])
def test_leaving_the_process_is_told_with_its_line(ask, leave):
    mishap = ask(f"import os, sys\n\n{leave}\n")

    assert (mishap.kind, mishap.line) == ("exit", 3)


def test_asking_for_too_much_memory_is_told_with_its_line(ask):
    mishap = ask("import torch\nbig = torch.ones(5_000_000_000)\n")

    assert (mishap.kind, mishap.line) == ("memory", 2)


def test_what_would_change_files_outside_the_scratch_folder_is_refused(ask, tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("keep", encoding="utf-8")

    for change in (
        f"open({str(precious)!r}, 'w')",
        f"os.remove({str(precious)!r})",
        f"os.rename({str(precious)!r}, 'x')",
    ):
        mishap = ask(f"import os\n{change}\n")
        assert (mishap.kind, mishap.line) == ("crash", 2)

    assert precious.read_text(encoding="utf-8") == "keep"


@fenced
def test_what_never_passes_through_python_cannot_change_files_outside_either(ask, tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("keep", encoding="utf-8")

    saved = ask(f"import torch\ntorch.save(torch.ones(1), {str(precious)!r})\n")
    removed = ask(f"import subprocess\nsubprocess.run(['rm', '-f', {str(precious)!r}], check=True)\n")

    assert [(m.kind, m.line) for m in (saved, removed)] == [("crash", 2), ("crash", 2)]
    assert precious.read_text(encoding="utf-8") == "keep"


def test_what_is_written_beside_the_algorithm_or_in_the_temporary_folder_is_let_be(ask):
    text = "import tempfile\nimport torch\ntorch.save(torch.ones(1), 'best.pth')\n"
    text += "with tempfile.TemporaryDirectory() as folder:\n    torch.save(torch.ones(1), folder + '/best.pth')\nEPOCHS = 5\n"

    assert ask(text).epochs == 5


def test_files_beside_the_algorithm_can_be_imported_and_are_copies(ask, tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "parts.py").write_text("EPOCHS = 7\n", encoding="utf-8")

    loaded = ask("from pathlib import Path\nfrom parts import EPOCHS\n(Path(__file__).parent / 'parts.py').unlink()\n")

    assert loaded.epochs == 7
    assert (folder / "parts.py").exists()


def test_the_parents_state_is_as_before(ask):
    directory, environment, generator = Path.cwd(), dict(os.environ), random.getstate()

    ask("import os, random\nrandom.seed(1)\nos.environ['HOME'] = 'x'\nos.chdir('/')\nEPOCHS = 2\n")

    assert (Path.cwd(), dict(os.environ), random.getstate()) == (directory, environment, generator)


def test_a_model_that_returns_a_tuple_is_looked_at_all_the_same(ask):
    facts = ask(PLANTED["tuple-returned"], "model", ModelFacts)

    assert (facts.output, facts.shape) == ("tuple", (8, 10))


@pytest.mark.slow
def test_a_hang_is_ended_and_told_with_its_line(tmp_path, pictures, monkeypatch):
    monkeypatch.setattr("diagnose.sandbox.session._START_SECONDS", 5.0)
    path = tmp_path / "train.py"
    path.write_text("import time\n\nwhile True:\n    time.sleep(0.1)\n", encoding="utf-8")

    with Sandbox(path, reference="small_cnn") as sandbox:
        sandbox.provide("theirs", pictures)
        mishap = sandbox.ask(Request(experiment="load", seconds=1.0), Loaded)

    assert (mishap.kind, mishap.line) == ("hang", 4)


def test_a_file_that_is_not_there_is_a_usage_error_that_names_the_next_command(tmp_path):
    with pytest.raises(OptionError, match="--init"):
        Sandbox(tmp_path / "none.py", reference="small_cnn")


def test_records_cross_the_border_unchanged():
    variant = Variant(reference=("loss", "optimizer"), learning_rate=0.1, augment=False)

    assert decode(Variant, encode(variant)) == variant


@pytest.mark.slow
def test_a_fault_that_costs_accuracy_is_a_cause_with_points(tmp_path, pictures):
    path = tmp_path / "train.py"
    path.write_text(PLANTED["zero-grad-late"], encoding="utf-8")

    seen = examine(path, pictures, ExamineOptions(reference="small_cnn", budget=90, validation=100))

    assert seen.findings[0].cause == "no-update"
    assert seen.findings[0].outcome is Outcome.FAIL
    assert seen.findings[0].points.value > 0.3
    assert {c.name for c in seen.controls} >= {"theirs", "known-good", "swap: known-good train step"}


@pytest.mark.slow
def test_the_same_seed_trains_the_same_model(ask):
    first, second = (ask(BASE, "train", RunFacts) for _ in range(2))

    assert first.predictions == second.predictions
    assert first.curve == second.curve
