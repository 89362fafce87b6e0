"""The edit that mends a file: the healthy file itself where a line was broken, and always Python that runs."""

import shutil
import subprocess

import pytest

from benchmarks.faults.registry import CODE_FAULTS, planted, source_of
from diagnose.mending import Input, mended, unified_diff
from diagnose.sandbox.measurements import Variant

FAULTS = {fault.name: fault for fault in CODE_FAULTS}
HEALTHY = source_of("base")
FED = Input(height=32, width=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def part(*names: str) -> Variant:
    return Variant(reference=names)


def edited(fault: str, change: Variant) -> str:
    text = planted(HEALTHY, FAULTS[fault], -1)
    assert text is not None
    return mended(text, change, FAULTS[fault].causes, FED)


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("train-mode-forgotten", part("train_step")),
        ("softmax-twice", part("loss")),
        ("weights-constant", Variant(reset=True)),
    ],
)
def test_a_line_too_many_or_too_few_gives_the_healthy_file_back(fault, change):
    assert edited(fault, change) == HEALTHY


@pytest.mark.parametrize(
    ("fault", "change", "line"),
    [
        ("rate-low", Variant(learning_rate=100.0), "Adam(model.parameters(), lr=0.0003, weight_decay=1e-5)"),
        ("epochs-few", Variant(epochs=10.0), "EPOCHS = 10\n"),
        ("batches-tiny", part("batch_size"), "BATCH_SIZE = 32\n"),
        ("step-forgotten", part("train_step"), "loss.backward()\n    optimizer.step()\n"),
        ("zero-grad-forgotten", part("train_step"), "    optimizer.zero_grad()\n    model.train()\n"),
        ("softmax-in-loss", part("loss"), "F.cross_entropy(o, t)"),
        ("eval-mode-forgotten", Variant(), "def evaluate(model, loader):\n    model.eval()\n"),
        ("head-not-optimized", Variant(unfreeze=True), "Adam(model.parameters(), lr=2e-3, weight_decay=1e-5)"),
        ("dropout-strong", Variant(regularise=False), "nn.Dropout(0)"),
        ("float16-underflow", Variant(precise=True), "torch.autocast('cpu', dtype=torch.float16, enabled=False)"),
        ("augmentation-upside-down", Variant(augment=False), "def build_transform(train):\n    train = False\n"),
        ("pixels-raw", part("transform"), "transforms.Normalize([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])"),
        ("schedule-in-epochs", part("scheduler"), "CosineAnnealingLR(optimizer, T_max=steps)"),
        ("shuffle-forgotten", part("loader"), "shuffle=train"),
    ],
)
def test_the_broken_line_is_mended_and_the_file_runs(fault, change, line):
    text = edited(fault, change)

    assert line in text
    exec(compile(text, "train.py", "exec"), {"__name__": "train"})


def test_a_zero_grad_in_the_wrong_place_is_moved():
    step = edited("zero-grad-late", part("train_step")).split("def train_step")[1].split("def ")[0]

    assert step.count("zero_grad()") == 1
    assert step.index("zero_grad()") < step.index("backward()") < step.index(".step()")


def test_clipping_under_a_condition_goes_with_the_condition():
    text = "def train_step(m, x, y, f, o):\n    if True:\n        clip_grad_norm_(m, 1e-4)\n    o.step()\n"

    assert mended(text, Variant(clip=False), (), None) == "def train_step(m, x, y, f, o):\n    o.step()\n"


def test_what_stands_alone_under_a_loop_and_a_condition_goes_with_both():
    text = "def build_model(n):\n    for m in x:\n        if m:\n            nn.init.zeros_(m)\n    return x\n"

    assert mended(text, Variant(reset=True), (), None) == "def build_model(n):\n    return x\n"


def test_a_function_that_would_be_empty_passes():
    text = "def train_step(m, x, y, f, o):\n    clip_grad_norm_(m, 1)\n"

    assert mended(text, Variant(clip=False), (), None) == "def train_step(m, x, y, f, o):\n    pass\n"


def test_what_cannot_be_written_down_leaves_the_file_alone():
    assert mended("EPOCHS = 3\n", part("model"), {"capacity"}, None) == "EPOCHS = 3\n"
    assert mended("EPOCHS = count()\n", Variant(epochs=2.0), {"too-few-epochs"}, None) == "EPOCHS = count()\n"
    assert mended(HEALTHY, Variant(), set(), FED) == HEALTHY


@pytest.mark.skipif(shutil.which("patch") is None, reason="patch is not installed")
@pytest.mark.parametrize("end", ["", "\n"])
def test_the_diff_is_what_patch_reads(tmp_path, end):
    before, after = f"a = 'ä'\nb = 2{end}", "a = 'ä'\nb = 3\n"
    (tmp_path / "train.py").write_text(before, encoding="utf-8")

    subprocess.run(["patch", "-p1"], input=unified_diff(before, after, "train.py").encode(), cwd=tmp_path, check=True)

    assert (tmp_path / "train.py").read_text(encoding="utf-8") == after
