"""Planted shortcuts: how often they are confirmed, and how often a mark that means nothing is.

Pictures of three shapes; one class bears a corner mark, a frame or a background colour with the given probability, the
others with one minus it. The healthy twins bear the same marks in half of all pictures, whatever the class. A small
net is trained on each set from scratch, long enough for most to learn the shapes; the search sees held-out pictures.

How much a net relies on its mark is known here: the same held-out pictures of the other classes are drawn with and without
it, and the mean difference of the probability of class 0 is its ``reliance``.

    python -m benchmarks.explain_shortcuts --seeds 4 --healthy 30 --rows shortcuts.jsonl --seconds 600    # again: goes on
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from benchmarks.rows import Row, all_rows
from explain.attribution import attribute, class_weights
from explain.claims import Evidence, Level, Shortcut
from explain.shortcuts import find_shortcuts
from zoo.preprocess import Preprocess

SIDE, CLASSES = 64, 3
KINDS = ("corner mark", "border", "background colour")
PLACES = {
    "corner mark": ("top left corner",),
    "border": ("rim", "edge", "corner"),
    "background colour": ("background colour", "rim", "edge", "corner"),
}
PREPROCESS = Preprocess(size=(SIDE, SIDE), mean=(0.5,) * 3, std=(0.25,) * 3, crop_pct=1.0)


def picture(label: int, kind: str, rng: np.random.Generator, *, marked: bool) -> np.ndarray:
    """A circle, square or triangle of any colour somewhere on a plain, noisy ground; with the mark or without."""
    ground = tuple(int(v) for v in rng.integers(40, 216, 3))
    if kind == "background colour" and marked:
        ground = (200, 120, 60)
    image = Image.new("RGB", (SIDE, SIDE), ground)
    draw = ImageDraw.Draw(image)
    radius = int(rng.integers(9, 15))
    x, y = (int(v) for v in rng.integers(radius + 4, SIDE - radius - 4, 2))
    colour = tuple(int(v) for v in rng.integers(0, 256, 3))
    if label == 0:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    elif label == 1:
        draw.rectangle((x - radius, y - radius, x + radius, y + radius), fill=colour)
    else:
        draw.polygon([(x - radius, y + radius), (x + radius, y + radius), (x, y - radius)], fill=colour)
    if marked and kind == "corner mark":
        draw.rectangle((2, 2, 9, 9), fill=(250, 250, 40))
    if marked and kind == "border":
        draw.rectangle((0, 0, SIDE - 1, SIDE - 1), outline=(30, 30, 230), width=3)
    noisy = np.asarray(image, dtype=np.float64) + rng.normal(0, 12, (SIDE, SIDE, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def pictures(kind: str, correlation: float, count: int, seed: int) -> tuple[Tensor, np.ndarray]:
    """Inputs and labels. The class that bears the mark is 0; a correlation of 0.5 means nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    chance = np.where(labels == 0, correlation, 1 - correlation)
    marked = rng.random(count) < chance
    return drawn(kind, labels, marked, rng), labels


def drawn(kind: str, labels: np.ndarray, marked: np.ndarray, rng: np.random.Generator) -> Tensor:
    images = [picture(int(k), kind, rng, marked=bool(m)) for k, m in zip(labels, marked, strict=True)]
    return PREPROCESS.normalise(torch.from_numpy(np.stack(images))).contiguous()


def reliance(model: nn.Module, kind: str, seed: int, count: int = 150) -> float:
    """How much likelier the mark makes class 0, in the mean over pictures of the other classes."""
    labels = np.random.default_rng(seed).integers(1, CLASSES, count)
    with torch.no_grad():
        bare, marked = (
            model(drawn(kind, labels, np.full(count, has), np.random.default_rng(seed))).softmax(1)[:, 0].mean()
            for has in (False, True)
        )
    return float(marked - bare)


def trained(inputs: Tensor, labels: np.ndarray, seed: int, epochs: int = 30) -> nn.Module:
    """A net of four convolutions, trained from scratch."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1, stride=2), nn.BatchNorm2d(16), nn.ReLU()]
    for before, after in ((16, 32), (32, 64)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                          nn.Linear(64, CLASSES))  # fmt: skip
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=epochs * (len(labels) // 50))
    target = torch.from_numpy(labels)
    for _ in range(epochs):
        for part in torch.randperm(len(labels)).split(50)[: len(labels) // 50]:
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(inputs[part]), target[part]).backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def one_case(kind: str, correlation: float, seed: int) -> Row:
    inputs, labels = pictures(kind, correlation, 600, 1000 + seed)
    model = trained(inputs, labels, seed)
    held, truth = pictures(kind, correlation, 150, 5000 + seed)
    maps = attribute(model, held, class_weights(torch.from_numpy(truth), CLASSES), method="hirescam").maps
    found = find_shortcuts(model, Evidence(inputs=held, labels=truth, maps=maps), seed=seed)
    confirmed = [s for s in found if s.level is Level.CONFIRMED]
    with torch.no_grad():
        accuracy = float((model(held).argmax(1).numpy() == truth).mean())
    hit = any(s.label == 0 and any(place in s.region for place in PLACES[kind]) for s in confirmed)
    return {
        "kind": kind, "correlation": correlation, "seed": seed, "accuracy": accuracy,
        "reliance": reliance(model, kind, 9000 + seed), "hit": hit,
        "confirmed": [(s.label, s.region) for s in confirmed],
        "tested": [(s.label, s.region, s.level.value, *_rounded(s)) for s in found],
    }  # fmt: skip


def _rounded(shortcut: Shortcut) -> list[list[float]]:
    effects = [e for e in (shortcut.erased, shortcut.pasted) if e]
    return [np.round([e.difference, *e.interval], 3).tolist() for e in effects]


def report(rows: list[Row]) -> None:
    print("| planted | correlation | confirmed | runs | reliance, median | least accuracy |\n|---|---|---|---|---|---|")
    for kind in KINDS:
        for correlation in (1.0, 0.9, 0.7):
            some = [r for r in rows if r["kind"] == kind and r["correlation"] == correlation]
            print(f"| {kind} | {correlation:.0%} | {sum(bool(r['hit']) for r in some)} | {known(some)}")
    healthy = [r for r in rows if r["correlation"] == 0.5]
    print(f"| the same marks, uncorrelated | | {sum(bool(r['confirmed']) for r in healthy)} | {known(healthy)}")


def known(rows: list[Row]) -> str:
    """The last cells of a line: how many runs, and what is known of their nets."""
    if not rows:
        return "0 | | |"
    relied, least = np.median([row["reliance"] for row in rows]), min(row["accuracy"] for row in rows)
    return f"{len(rows)} | {relied:.2f} | {least:.0%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--healthy", type=int, default=30)
    parser.add_argument("--rows", type=Path, required=True, help="One JSON line a case; those that are there stay.")
    parser.add_argument("--seconds", type=float, default=1e9, help="Stop starting cases after this long.")
    arguments = parser.parse_args()
    planted = [(k, c, s) for s in range(arguments.seeds) for c in (1.0, 0.9, 0.7) for k in KINDS]
    healthy = [(KINDS[s % len(KINDS)], 0.5, 100 + s) for s in range(arguments.healthy)]
    rows = all_rows(
        arguments.rows,
        [*planted, *healthy],
        lambda case: one_case(*case),
        case_of=lambda row: (row["kind"], row["correlation"], row["seed"]),
        seconds=arguments.seconds,
    )
    report(rows)


if __name__ == "__main__":
    main()
