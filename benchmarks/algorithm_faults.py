"""Plant each fault of the table in a healthy algorithm file, and see what `diagnose.algorithm.examine` says.

    python -m benchmarks.algorithm_faults --data digits --out faults.jsonl
    python -m benchmarks.algorithm_faults --data path/to/images --size 48 --out faults.jsonl
    python -m benchmarks.algorithm_faults --summary faults.jsonl

A line of the output is one case. The healthy files (benchmarks/algorithms/healthy) are cases without a cause.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from diagnose.algorithm import ExamineOptions, examine
from diagnose.findings import Outcome
from diagnose.sandbox.pictures import Pictures

FOLDER = Path(__file__).parent / "algorithms"


@dataclass(frozen=True)
class Fault:
    """An edit of the healthy file, and the names that call it rightly (any of them; the first is the canonical one)."""

    name: str
    causes: tuple[str, ...]
    edits: tuple[tuple[str, str], ...]


def fault(name: str, causes: str, *edits: tuple[str, str]) -> Fault:
    return Fault(name, tuple(causes.split()), edits)


STEP = "    optimizer.step()\n"
FAULTS = (
    fault("no-zero-grad", "missing-zero-grad", ("    optimizer.zero_grad()\n", "")),
    fault("zero-between", "no-update", ("    loss.backward()\n", "    loss.backward()\n    optimizer.zero_grad()\n")),
    fault("no-step", "no-update", (STEP, "")),
    fault("other-model", "no-update frozen-parameters", ("Adam(model.parameters()", "Adam(Net(10).parameters()")),
    fault("head-forgotten", "frozen-parameters",
          ("Adam(model.parameters()", "Adam([p for n, p in model.named_parameters() if 'fc' not in n]")),
    fault("frozen-random", "frozen-parameters",
          ("    return model\n", "    for n, p in model.named_parameters():\n        p.requires_grad = 'fc' in n\n    return model\n")),
    fault("detached", "frozen-parameters", ("return self.fc(self.drop(x", "x = x.detach()\n        return self.fc(self.drop(x")),
    fault("softmax", "double-softmax", ("return self.fc(self.drop(x.flatten(1)))", "return self.fc(self.drop(x.flatten(1))).softmax(1)")),
    fault("sigmoid", "double-softmax", ("return self.fc(self.drop(x.flatten(1)))", "return self.fc(self.drop(x.flatten(1))).sigmoid()")),
    fault("softmax-in-loss", "double-softmax",
          ("return nn.CrossEntropyLoss()", "return lambda o, t: F.cross_entropy(o.softmax(1), t)")),
    fault("sign", "wrong-loss", ("loss = loss_fn(outputs, targets)", "loss = -loss_fn(outputs, targets)")),
    fault("nll-of-logits", "wrong-loss", ("nn.CrossEntropyLoss()", "nn.NLLLoss()")),
    fault("sum-high-rate", "wrong-loss learning-rate", ("nn.CrossEntropyLoss()", 'nn.CrossEntropyLoss(reduction="sum")'),
          ("Adam(model.parameters(), lr=2e-3, weight_decay=1e-5", "SGD(model.parameters(), lr=0.1, momentum=0.9")),
    fault("regress-class", "wrong-loss", ("return nn.CrossEntropyLoss()", "return lambda o, t: F.mse_loss(o.mean(1), t.float())")),
    fault("labels-shifted", "label-map wrong-loss", ("loss_fn(outputs, targets)", "loss_fn(outputs, (targets + 1) % outputs.shape[1])")),
    fault("softmax-over-batch", "mixed-examples", ("return self.fc(self.drop(x.flatten(1)))", "return self.fc(self.drop(x.flatten(1))).log_softmax(0)")),
    fault("too-few-outputs", "output-size", ("Net(num_classes)", "Net(num_classes - 1)")),
    fault("too-many-outputs", "output-size", ("Net(num_classes)", "Net(1000)")),
    fault("linear", "non-linearity capacity", ("F.relu(self.bn1(self.conv1(x)))", "self.bn1(self.conv1(x))"),
          ("F.relu(self.bn2(self.conv2(x)))", "self.bn2(self.conv2(x))"), ("F.relu(self.bn3(self.conv3(x)))", "self.bn3(self.conv3(x))"),
          ("F.max_pool2d", "F.avg_pool2d")),
    fault("constant-weights", "initialisation", ("    return model\n", "    for p in model.parameters():\n        nn.init.constant_(p, 0.01)\n    return model\n")),
    fault("huge-weights", "initialisation gradient-flow", ("    return model\n", "    for p in model.parameters():\n        nn.init.normal_(p, 0, 3)\n    return model\n")),
    fault("vanishing", "gradient-flow initialisation", ("return self.fc(", "for _ in range(12):\n            x = torch.sigmoid(0.1 * x) - 0.5\n        return self.fc(")),
    fault("rate-high", "learning-rate", ("lr=2e-3", "lr=1.0")),
    fault("rate-low", "learning-rate", ("lr=2e-3", "lr=3e-6")),
    fault("sgd-low", "learning-rate optimizer", ("Adam(model.parameters(), lr=2e-3", "SGD(model.parameters(), lr=1e-5")),
    fault("schedule-unit", "schedule", ("CosineAnnealingLR(optimizer, T_max=steps)", "StepLR(optimizer, step_size=2, gamma=0.5)")),
    fault("endless-warmup", "schedule", ("CosineAnnealingLR(optimizer, T_max=steps)", "LambdaLR(optimizer, lambda s: (s + 1) / (steps * 100))")),
    fault("epsilon", "optimizer", ("lr=2e-3", "lr=2e-3, eps=10.0")),
    fault("one-epoch", "too-few-epochs", ("EPOCHS = 8", "EPOCHS = 1"), ("lr=2e-3", "lr=3e-4")),
    fault("train-forgotten", "train-mode", ("    model.train()\n", "")),
    fault("eval-forgotten", "eval-mode", ("    model.eval()\n", ""), ("nn.Dropout(0.2)", "nn.Dropout(0.7)")),
    fault("dropout-always", "eval-mode", ("self.drop(x.flatten(1))", "F.dropout(x.flatten(1), 0.9, training=True)")),
    fault("tiny-batches", "batchnorm-statistics", ("BATCH_SIZE = 32", "BATCH_SIZE = 2"), ("drop_last=False", "drop_last=train")),
    fault("stale-statistics", "batchnorm-statistics", ("    return model\n", "    for m in model.modules():\n        if isinstance(m, nn.BatchNorm2d):\n            m.momentum = 1e-4\n    return model\n")),
    fault("raw-pixels", "normalisation", ("T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)", "T.PILToTensor(), T.Lambda(lambda t: t.float())"), ("self.bn1(self.conv1(x))", "self.conv1(x)"), ("self.bn2(self.conv2(x))", "self.conv2(x)"), ("self.bn3(self.conv3(x))", "self.conv3(x)")),
    fault("scaled-twice", "normalisation", ("T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)", "T.ToTensor(), T.Lambda(lambda t: t / 255)"), ("self.bn1(self.conv1(x))", "self.conv1(x)"), ("self.bn2(self.conv2(x))", "self.conv2(x)"), ("self.bn3(self.conv3(x))", "self.conv3(x)")),
    fault("transforms-differ", "transform-mismatch", ("T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)])", "T.ToTensor(), *([T.Normalize([0.5] * 3, [0.5] * 3)] if train else [T.Lambda(lambda t: t * 255)])])")),
    fault("train-bgr", "transform-mismatch channel-order", ("T.ToTensor(), T", "T.ToTensor(), T.Lambda(lambda t: t.flip(0) if train else t), T")),
    fault("bgr", "channel-order", ("T.ToTensor(), T", "T.ToTensor(), T.Lambda(lambda t: t.flip(0)), T")),
    fault("no-shuffle", "loader-order", ("shuffle=train", "shuffle=False")),
    fault("out-of-step", "loader-order", ("return DataLoader(dataset,", "pairs = [dataset[i] for i in range(len(dataset))]\n    if train:\n        dataset = [(x, pairs[(i * 7 + 3) % len(pairs)][1]) for i, (x, _) in enumerate(pairs)]\n    return DataLoader(dataset,")),
    fault("augment-blind", "augmentation", ("T.RandomAffine(8, translate=(0.05, 0.05))", "T.RandomResizedCrop(32, scale=(0.01, 0.03))")),
    fault("augment-upside-down", "augmentation", ("T.RandomAffine(8, translate=(0.05, 0.05))", "T.RandomRotation((90, 270))")),
    fault("dropout-strong", "regularisation", ("nn.Dropout(0.2)", "nn.Dropout(0.99)")),
    fault("decay-strong", "regularisation", ("weight_decay=1e-5", "weight_decay=1.0")),
    fault("bottleneck", "capacity", ("self.fc = nn.Linear(64 * 16, num_classes)", "self.fc = nn.Sequential(nn.Linear(64 * 16, 1), nn.Linear(1, num_classes))")),
    fault("float16", "mixed-precision", ("    outputs = model(inputs)\n    loss = loss_fn(outputs, targets)\n", "    with torch.autocast('cpu', dtype=torch.float16):\n        outputs = model(inputs)\n        loss = loss_fn(outputs, targets) * 1e-7\n")),
    fault("clip-tiny", "gradient-clipping", (STEP, "    nn.utils.clip_grad_norm_(model.parameters(), 1e-4)\n" + STEP), ("Adam(model.parameters(), lr=2e-3, weight_decay=1e-5", "SGD(model.parameters(), lr=0.02, momentum=0.9")),
    fault("checkpoint-unmatched", "checkpoint-loading", ("    return model\n", "    saved = {f'module.{k}': v for k, v in Net(num_classes).state_dict().items()}\n    model.load_state_dict(saved, strict=False)\n    for n, p in model.named_parameters():\n        p.requires_grad = 'fc' in n\n    return model\n")),
    fault("evaluate-wrong", "evaluation", ("total += len(targets)", "total += BATCH_SIZE * 1.2")),
    fault("crash", "crash", ("outputs = model(inputs)\n    loss", "outputs = model(inputs).view(3, 7)\n    loss")),
    fault("exits", "crash", ("    loss.backward()\n", "    import sys\n\n    sys.exit(0)\n")),
    fault("tuple", "crash", ("return self.fc(self.drop(x.flatten(1)))", "return self.fc(self.drop(x.flatten(1))), x")),
)  # fmt: skip


def plant(faults: tuple[Fault, ...]) -> str:
    """The healthy file's text with the edits made; an edit that changes nothing is a mistake here."""
    text = (FOLDER / "base.py").read_text(encoding="utf-8")
    for one in faults:
        for before, after in one.edits:
            if before not in text:
                raise SystemExit(f"{one.name}: {before!r} is not in the healthy file")
            text = text.replace(before, after)
    return text


def digits(train: int, validation: int) -> Pictures:
    """scikit-learn's handwritten digits, enlarged."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.images))
    images = [Image.fromarray((bunch.images[i] * 15.9).astype(np.uint8)).resize((32, 32)).convert("RGB") for i in order]
    labels = [int(bunch.target[i]) for i in order]
    return _split(images, labels, tuple("0123456789"), train, validation)


def folder(path: Path, size: int, train: int, validation: int) -> Pictures:
    """An image folder (class/*.jpg), drawn at random and shrunk to ``size``."""
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
    order = np.random.default_rng(0).permutation(len(files))[: train + validation]
    classes = tuple(sorted({p.parent.name for p in files}))
    images = [Image.open(files[i]).convert("RGB").resize((size, size)) for i in order]
    return _split(images, [classes.index(files[i].parent.name) for i in order], classes, train, validation)


def _split(
    images: list[Image.Image], labels: list[int], classes: tuple[str, ...], train: int, validation: int
) -> Pictures:
    rank = sorted(range(train), key=lambda i: labels[i])  # an image folder comes ordered by class
    held = range(train, train + validation)
    return Pictures(
        train=tuple(images[i] for i in rank),
        train_labels=tuple(labels[i] for i in rank),
        validation=tuple(images[i] for i in held),
        validation_labels=tuple(labels[i] for i in held),
        classes=classes,
    )


def cases(pairs: int) -> Iterator[tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...], str]]:
    """Name, kind, rightly named causes (one tuple a fault), text."""
    for path in sorted((FOLDER / "healthy").glob("*.py")):
        yield path.stem, ("healthy",), (), path.read_text(encoding="utf-8")
    yield "base", ("healthy",), (), plant(())
    for one in FAULTS:
        yield one.name, ("fault",), (one.causes,), plant((one,))
    rng = np.random.default_rng(1)
    made = 0
    while made < pairs:
        first, second = (FAULTS[i] for i in rng.choice(len(FAULTS) - 3, 2, replace=False))
        try:
            text = plant((first, second))
        except SystemExit:
            continue  # the two edit the same text
        made += 1
        yield f"{first.name}+{second.name}", ("pair",), (first.causes, second.causes), text


def run(data: str, size: int, out: Path, budget: float, pairs: int, only: str) -> None:
    pictures = digits(400, 400) if data == "digits" else folder(Path(data), size, 600, 400)
    done = {(r["data"], r["case"]) for r in _read(out)}
    label = Path(data).name
    for name, kind, causes, text in cases(pairs):
        if (label, name) in done or (only and only not in (name, kind[0])):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "train.py"
            path.write_text(text, encoding="utf-8")
            started = time.monotonic()
            seen = examine(path, pictures, ExamineOptions(reference="small_cnn", budget=budget, validation=400))
        theirs = next((c.accuracy.value for c in seen.controls if c.name == "theirs"), None)
        good = next((c.accuracy.value for c in seen.controls if c.name == "known-good"), None)
        row = {
            "data": label,
            "case": name,
            "kind": kind[0],
            "expected": causes,
            "fail": [f.cause for f in seen.findings if f.outcome is Outcome.FAIL],
            "review": [f.cause for f in seen.findings if f.outcome is Outcome.REVIEW],
            "points": [
                round(f.points.value, 3) if f.points else None for f in seen.findings if f.outcome is Outcome.FAIL
            ],
            "theirs": theirs,
            "known_good": good,
            "controls": {c.name: round(c.accuracy.value, 3) for c in seen.controls},
            "failures": [f.error for f in seen.failures],
            "seconds": round(time.monotonic() - started, 1),
        }
        with out.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        print(label, name, row["fail"], row["points"], row["review"], theirs, good, row["seconds"], flush=True)


def _read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def summarise(rows: list[dict]) -> None:
    """Right side, right name first and among three, false alarms; per data set."""
    for data in sorted({r["data"] for r in rows}):
        mine = [r for r in rows if r["data"] == data]
        healthy = [r for r in mine if r["kind"] == "healthy"]
        base = next((r["theirs"] for r in healthy if r["case"] == "base"), None) or 0.0
        undeserved = [r["case"] for r in healthy if r["fail"] and (r["known_good"] or 0) - (r["theirs"] or 0) < 0.03]
        deserved = [r["case"] for r in healthy if r["fail"] and r["case"] not in undeserved]
        print(f"{data}: healthy {len(healthy)}, undeserved alarms {undeserved}, deserved (3 points under) {deserved}")
        faults = [r for r in mine if r["kind"] == "fault"]
        costly = [r for r in faults if r["theirs"] is None or base - r["theirs"] >= 0.03 or _broken_score(r)]
        cheap = [r for r in faults if r not in costly]
        _rates("costly faults", costly)
        named = [r for r in cheap if _hit(r["expected"][0], r["fail"] + r["review"])]
        print(
            f"  cheap faults {len(cheap)}: named at all {len(named)}; not {[r['case'] for r in cheap if r not in named]}"
        )
        pairs = [r for r in mine if r["kind"] == "pair"]
        both = [r for r in pairs if all(_hit(e, r["fail"][:3]) for e in r["expected"])]
        anywhere = [r for r in pairs if all(_hit(e, r["fail"] + r["review"]) for e in r["expected"])]
        print(f"  pairs {len(pairs)}: both in the first three {len(both)}, both named anywhere {len(anywhere)}")
        print(f"  median seconds {np.median([r['seconds'] for r in mine]):.0f}")


def _broken_score(row: dict) -> bool:
    return row["expected"][0][0] in {"evaluation", "eval-mode"}


def _hit(expected: list[str], named: list[str]) -> bool:
    return any(e in named for e in expected)


def _rates(title: str, rows: list[dict]) -> None:
    if not rows:
        return
    side = [r for r in rows if r["fail"]]
    first = [r for r in rows if _hit(r["expected"][0], r["fail"][:1])]
    three = [r for r in rows if _hit(r["expected"][0], r["fail"][:3])]
    print(f"  {title} {len(rows)}: side {len(side)}, first {len(first)}, among three {len(three)}")
    print("    not first:", [(r["case"], r["fail"][:3], r["review"][:3]) for r in rows if r not in first])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path("algorithm_faults.jsonl"))
    parser.add_argument("--budget", type=float, default=120.0)
    parser.add_argument("--pairs", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--summary", type=Path)
    options = parser.parse_args()
    if options.summary:
        summarise(_read(options.summary))
        return
    run(options.data, options.size, options.out, options.budget, options.pairs, options.only)


if __name__ == "__main__":
    main()
