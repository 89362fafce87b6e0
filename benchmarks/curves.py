"""How often the judge of curves is right: real trainings with known faults, and drawn curves.

    python -m benchmarks.curves                       # the half that thresholds were chosen on, and the other half
    python -m benchmarks.curves --cases curves.json   # keep the curves

Real: small networks on scikit-learn's digits, every fault planted in eight settings of model, optimizer, batch size and
seed; perceptrons are the half to choose thresholds on, convolutional networks the half that is reported. Drawn: curves
by formula with noise, which no threshold was chosen on. A fault counts where it costs at least 3 points of accuracy
against the healthy twin of the same setting; noisy and overfitting count always, as they are seen before they cost.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from diagnose.curve_shapes import CurveJudge, Shape
from diagnose.curves import Curves, Series

KINDS = ("healthy", *(str(shape) for shape in Shape))
SETTINGS = 8


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One training."""

    kind: str
    model: str
    number: int
    rate: float = 2e-3
    optimizer: str = "adam"
    epochs: int = 24
    batch: int = 32
    images: int = 800
    width: int = 64
    wrong: float = 0.0
    dropout: float = 0.1
    decay: float = 0.0
    broken: str = ""


@dataclass(frozen=True, kw_only=True)
class Case:
    kind: str
    origin: str
    curves: Curves
    accuracy: float
    detail: str


def settings(model: str) -> Iterator[Setting]:
    for number in range(SETTINGS):
        rng = np.random.default_rng(number)
        sgd = number % 3 == 2
        base = Setting(
            kind="healthy",
            model=model,
            number=number,
            optimizer="sgd" if sgd else "adam",
            rate=float(rng.choice([0.02, 0.05]) if sgd else rng.choice([1e-3, 2e-3, 4e-3])),
            batch=int(rng.choice([16, 32, 64])),
            epochs=int(rng.choice([16, 24])),
            width=int(rng.choice([48, 96])),
        )
        yield base
        yield replace(base, kind="diverged", optimizer="sgd", rate=float(rng.choice([3.0, 10.0, 30.0])))
        broken = str(rng.choice(["no-step", "rate-zero", "constant", "dead", "zero-between"]))
        yield replace(base, kind="plateau", broken=broken)
        yield replace(base, kind="slow", rate=base.rate / float(rng.choice([100, 200, 300])))
        yield replace(base, kind="still-improving", epochs=int(rng.choice([4, 5, 6])), rate=base.rate / 4)
        yield replace(base, kind="overfitting", images=int(rng.choice([80, 150])), epochs=40, dropout=0.0, width=192,
                      wrong=float(rng.choice([0.1, 0.2, 0.3])), rate=base.rate)  # fmt: skip
        if rng.random() < 0.5:
            yield replace(base, kind="underfitting", width=int(rng.choice([4, 6])), dropout=0.0)
        else:
            yield replace(base, kind="underfitting", decay=float(rng.choice([0.03, 0.1])) if not sgd else 0.3)
        rate = float(rng.choice([0.03, 0.06, 0.1]))
        yield replace(base, kind="noisy", optimizer="sgd", rate=rate, batch=8, epochs=16)


def network(setting: Setting) -> nn.Module:
    width, drop = setting.width, nn.Dropout(setting.dropout)
    if setting.model == "mlp":
        layers = [nn.Flatten(), nn.Linear(64, width), nn.ReLU(), drop, nn.Linear(width, width), nn.ReLU()]
        model = nn.Sequential(*layers, nn.Linear(width, 10))
    else:
        c = max(2, width // 4)
        layers = [nn.Conv2d(1, c, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(c, c, 3, padding=1), nn.ReLU()]
        model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2 if width > 8 else 1), nn.Flatten(), drop,
                              nn.Linear(c * (4 if width > 8 else 1), 10))  # fmt: skip
    if setting.broken == "constant":
        for p in model.parameters():
            nn.init.constant_(p, 0.0)
    if setting.broken == "dead":
        for m in model:
            if isinstance(m, nn.Linear | nn.Conv2d):
                nn.init.constant_(m.bias, -30.0)
    return model


def train(setting: Setting) -> Case:
    torch.manual_seed(setting.number)
    digits = load_digits()
    order = np.random.default_rng(setting.number).permutation(len(digits.target))
    x = torch.tensor(digits.images[order] / 8 - 1, dtype=torch.float32)[:, None]
    y = torch.tensor(digits.target[order])
    x, y, held_x, held_y = x[: setting.images], y[: setting.images].clone(), x[-500:], y[-500:]
    wrong = torch.randperm(len(y))[: round(setting.wrong * len(y))]
    y[wrong] = torch.randint(0, 10, (len(wrong),))
    model = network(setting)
    rate = 0.0 if setting.broken == "rate-zero" else setting.rate
    if setting.optimizer == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=setting.decay)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
        for group in optimizer.param_groups:
            group["weight_decay"] = setting.decay / max(rate, 1e-9) if setting.decay else 0.0
    loss_fn = nn.CrossEntropyLoss()
    rows = []
    for _ in range(setting.epochs):
        model.train()
        losses, right = [], 0
        for rows_of in torch.randperm(len(x)).split(setting.batch):
            outputs = model(x[rows_of])
            loss = loss_fn(outputs, y[rows_of])
            optimizer.zero_grad()
            loss.backward()
            if setting.broken == "zero-between":
                optimizer.zero_grad()
            if setting.broken != "no-step":
                optimizer.step()
            losses.append(float(loss.detach()))
            right += int((outputs.argmax(1) == y[rows_of]).sum())
        model.eval()
        with torch.no_grad():
            outputs = model(held_x)
        accuracy = float((outputs.argmax(1) == held_y).float().mean())
        rows.append((float(np.mean(losses)), float(loss_fn(outputs, held_y)), right / len(x), accuracy))
    at = tuple(float(e) for e in range(1, len(rows) + 1))
    series = [Series(at=at, values=column) for column in zip(*rows, strict=True)]
    curves = Curves(
        train_loss=series[0], validation_loss=series[1], train_accuracy=series[2], validation_accuracy=series[3]
    )
    return Case(kind=setting.kind, origin=setting.model, curves=curves, accuracy=rows[-1][3], detail=str(setting))


def drawn(seed: int) -> Iterator[Case]:
    """One curve of each kind by formula; losses with multiplicative noise, half of them without accuracies."""
    for kind in KINDS:
        rng = np.random.default_rng([seed, KINDS.index(kind)])
        n = int(rng.integers(12, 60))
        t = np.linspace(0, 1, n)
        top = float(rng.uniform(1.5, 4))
        noise = np.exp(rng.normal(0, 0.02, (2, n)))
        fast, floor = float(rng.uniform(8, 15)), float(rng.uniform(0.02, 0.15))
        train = floor + (top - floor) * np.exp(-fast * t)
        held = 0.1 + 1.05 * train
        if kind == "diverged":
            begin = float(rng.uniform(0.05, 0.6))
            train = train + np.where(t > begin, top * np.exp(5 * (t - begin)), 0)
            held = held + np.where(t > begin, top * np.exp(5 * (t - begin)), 0)
            if rng.random() < 0.5:
                train[t > begin + 0.2], held[t > begin + 0.2] = np.nan, np.nan
        elif kind == "plateau":
            train, held = np.full(n, top), np.full(n, top)
            noise = np.exp(rng.normal(0, 0.004, (2, n)))
        elif kind == "noisy":
            noise = np.exp(rng.normal(0, rng.uniform(0.35, 0.7), (2, n)))
        elif kind == "slow":
            train = top * (1 - rng.uniform(0.1, 0.4) * t)
            held = 1.02 * train
            noise = np.exp(rng.normal(0, 0.004, (2, n)))
        elif kind == "still-improving":
            train = floor + (top - floor) * np.exp(-rng.uniform(1.5, 2.5) * t)
            held = 0.1 + 1.05 * train
        elif kind == "overfitting":
            held = held + rng.uniform(0.3, 1.5) * np.maximum(0, t - rng.uniform(0.1, 0.4))
        elif kind == "underfitting":
            floor = float(rng.uniform(0.3, 0.7)) * top
            train = floor + (top - floor) * np.exp(-fast * t)
            held = train * 1.03
        train, held = train * noise[0], held * noise[1]
        accuracy = np.clip(1 - held / (top * 1.1), 0.1, 0.99)
        at = tuple(float(i + 1) for i in range(n))
        accuracies = {} if rng.random() < 0.5 and kind != "underfitting" else {
            "train_accuracy": Series(at=at, values=tuple(np.clip(1 - train / (top * 1.1), 0.1, 1).tolist())),
            "validation_accuracy": Series(at=at, values=tuple(accuracy.tolist())),
        }  # fmt: skip
        curves = Curves(
            train_loss=Series(at=at, values=tuple(train.tolist())),
            validation_loss=Series(at=at, values=tuple(held.tolist())),
            **accuracies,
        )
        yield Case(kind=kind, origin="drawn", curves=curves, accuracy=float(accuracy[-1]), detail=f"seed {seed}")


def real(model: str) -> list[Case]:
    """The trainings of one architecture whose fault did what it is meant to."""
    cases, healthy = [], {}
    for setting in settings(model):
        case = train(setting)
        if setting.kind == "healthy":
            healthy[setting.number] = case.accuracy
        costs = healthy[setting.number] - case.accuracy
        # A network that learnt nothing shows a plateau, whatever it was meant to show.
        learnt = case.accuracy > 0.3 or setting.kind in {"diverged", "plateau", "slow"}
        if learnt and (setting.kind in {"healthy", "noisy", "overfitting"} or costs >= 0.03):
            cases.append(case)
    return cases


def score(title: str, cases: list[Case], *, verbose: bool) -> None:
    """Precision and recall of each kind. A shape that comes with another is no false alarm where both were planted."""
    judge = CurveJudge()
    hit, said, planted = defaultdict(int), defaultdict(int), defaultdict(int)
    for case in cases:
        shapes = [str(sign.shape) for sign in judge(case.curves, num_classes=10)] or ["healthy"]
        planted[case.kind] += 1
        said[shapes[0]] += 1
        hit[case.kind] += shapes[0] == case.kind
        if shapes[0] != case.kind and verbose:
            print("  ", case.kind, "->", shapes, case.detail, f"{case.accuracy:.3f}")
    print(f"{title}: {len(cases)} curves, right first {sum(hit.values()) / len(cases):.2f}")
    for kind in KINDS:
        precision = hit[kind] / said[kind] if said[kind] else float("nan")
        recall = hit[kind] / planted[kind] if planted[kind] else float("nan")
        print(f"  {kind:16} n={planted[kind]:3}  precision {precision:.2f}  recall {recall:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, help="keep the curves here, or use those that are there")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cases = [case for seed in range(20) for case in drawn(seed)]
    for model in ("mlp", "cnn"):
        kept = None if options.cases is None else options.cases.with_suffix(f".{model}.json")
        if kept is not None and kept.exists():
            cases += [_read(row) for row in json.loads(kept.read_text())]
            continue
        made = real(model)
        cases += made
        if kept is not None:
            kept.write_text(json.dumps([asdict(case) for case in made]))
    for title, origin in (("chosen on (mlp)", "mlp"), ("reported (cnn)", "cnn"), ("drawn", "drawn")):
        score(title, [case for case in cases if case.origin == origin], verbose=options.verbose)


def _read(row: dict) -> Case:
    series = {
        k: Series(at=tuple(v["at"]), values=tuple(v["values"])) for k, v in row["curves"].items() if isinstance(v, dict)
    }
    return Case(**{**row, "curves": Curves(**series)})


if __name__ == "__main__":
    main()
