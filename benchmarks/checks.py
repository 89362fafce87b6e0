"""Precision and recall of every data check on real images, and false alarms over healthy variants.

    python -m benchmarks.checks --data ../shared/data --results checks.jsonl [--sets clothing] [--part healthy]
    python -m benchmarks.checks --results checks.jsonl --out checks.md

Every run is a line of the results, from which ``--out`` makes the table; what has its line is not run again, so that the
benchmark can be stopped and goes on.

Healthy variants are of three kinds in turn: random four fifths of a data set under random splits, some of its classes only,
and the images without splits; copies are kept together. Faults are planted in variants of the first kind that no alarm is
counted on, each at two severities. What changes pixels is done to the files and embedded anew; what changes labels, splits
or which images there are, is done to the records.

Beside each planted fault stands what it costs: the held-out accuracy of the variant without it minus that with it. Some
checks call a fault only what costs accuracy, and report the rest as a remark; a fault that costs nothing there is none.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from diagnose.check import DATA_CHECKS
from diagnose.context import Context
from diagnose.findings import Outcome
from diagnose.retouching import pictures_of
from zoo.catalog import card
from zoo.data import Sample, folds, read
from zoo.data.dataset import Skipped
from zoo.features import embed

Change = Callable[[Image.Image, np.random.Generator], Image.Image]
Key = tuple[str, str, float, int]  # data set, planted cause, severity, seed: one run
_BACKBONE = "efficientnet_lite0"
SETS = ("clothing", "sign_digits", "blood_cells")


@dataclass(frozen=True)
class Case:
    """One planted fault: its cause, how severe it is, and what plants it."""

    cause: str
    severity: float
    plant: Callable[[Context, float, np.random.Generator], Context]


def load(folder: Path) -> Context:
    features = embed(read(folder), [card(_BACKBONE)])
    return Context(
        dataset=features.dataset,
        statistics=features.statistics,
        embeddings={_BACKBONE: features.matrix(_BACKBONE).astype(np.float16)},
        pictures=pictures_of(features.dataset, [card(_BACKBONE)]),
    )


def variant(context: Context, seed: int) -> Context:
    """Four fifths of the images, at most 1,500, three quarters of them for training, by groups of copies."""
    rng = np.random.default_rng(seed)
    keep = np.sort(rng.permutation(len(context.dataset))[: min(1500, len(context.dataset) * 4 // 5)])
    small = context.only(keep)
    part = folds(small.labels, small.groups, 4, seed)
    return with_samples(
        small,
        [replace(s, split="val" if f == 0 else "train") for s, f in zip(small.dataset.samples, part, strict=True)],
    )


def healthy_variant(context: Context, seed: int) -> Context:
    """Four fifths under random splits, some of the classes, or the images without splits: in turn."""
    small = variant(context, seed)
    if seed % 3 == 0:
        return small
    if seed % 3 == 1:
        rng = np.random.default_rng(seed)
        count = max(2, round(context.num_classes * rng.uniform(0.5, 0.8)))
        return some_classes(small, np.sort(rng.permutation(context.num_classes)[:count]))
    whole = with_samples(small, [replace(sample, split=None) for sample in small.dataset.samples])
    return replace(whole, dataset=replace(whole.dataset, given_splits=False))


def some_classes(context: Context, chosen: np.ndarray) -> Context:
    part = context.only(np.flatnonzero(np.isin(context.labels, chosen)))
    samples = [replace(s, label=int(np.searchsorted(chosen, s.label))) for s in part.dataset.samples]
    return with_samples(part, samples, tuple(context.dataset.classes[label] for label in chosen))


def with_samples(context: Context, samples: Sequence[Sample], classes: tuple[str, ...] | None = None) -> Context:
    dataset = replace(
        context.dataset, samples=tuple(samples), given_splits=True, classes=classes or context.dataset.classes
    )
    return replace(context, dataset=dataset, _kept={})


def changed(context: Context, rows: np.ndarray, change: Change, rng: np.random.Generator) -> Context:
    """The context with some of its images changed, in place."""
    kept, paths = {}, iter([context.paths[int(row)] for row in rows])

    def keeping(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        return kept.setdefault(next(paths), change(image, rng))

    looked = embedded(context, rows, keeping, rng)
    statistics, features = context.statistics.copy(), context.embeddings[_BACKBONE].copy()
    statistics[rows], features[rows] = looked.statistics, looked.embeddings[_BACKBONE]
    whole = context.pictures
    pictures = whole and replace(whole, open=lambda path: kept[path] if path in kept else whole.open(path))
    return replace(context, statistics=statistics, embeddings={_BACKBONE: features}, pictures=pictures, _kept={})


def embedded(context: Context, rows: np.ndarray, change: Change, rng: np.random.Generator) -> Context:
    """Changed copies of some images, as a data set of their own in the given order."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = []
        for number, row in enumerate(rows):
            sample = context.dataset.samples[int(row)]
            image = Image.open(context.dataset.file(sample)).convert("RGB")
            change(image, rng).save(folder / f"{number:06d}.jpg", quality=90)
            samples.append(replace(sample, path=f"{number:06d}.jpg"))
        dataset = replace(context.dataset, root=folder, samples=tuple(samples), skipped=())
        features = embed(dataset, [card(_BACKBONE)])
        assert len(features.dataset) == len(rows)
        matrix = features.matrix(_BACKBONE).astype(np.float16)
        return Context(dataset=features.dataset, statistics=features.statistics, embeddings={_BACKBONE: matrix})


def joined(first: Context, second: Context, split: str, name: str) -> Context:
    """Both sets of images; the second in one split, under names of their own."""
    added = [
        replace(sample, path=f"{split}/{name}/{hash((name, i)) & 0xFFFFFFFF:08x}.jpg", split=split)
        for i, sample in enumerate(second.dataset.samples)
    ]
    both = replace(
        first,
        statistics=np.concatenate([first.statistics, second.statistics]),
        embeddings={_BACKBONE: np.concatenate([first.embeddings[_BACKBONE], second.embeddings[_BACKBONE]])},
        dataset=replace(first.dataset, samples=(*first.dataset.samples, *added)),
        pictures=None,
        _kept={},
    )
    return with_samples(both, both.dataset.samples)


def share_of(rows: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    return np.sort(rng.permutation(rows)[: max(1, round(share * len(rows)))])


def copy_of(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    way = int(rng.integers(0, 5))
    width, height = image.size
    if way == 1:
        return image.resize((width * 2 // 3, height * 2 // 3), Image.Resampling.BICUBIC)
    if way == 2:
        return ImageOps.mirror(image)
    if way == 3:
        box = round(width * 0.9), round(height * 0.9)
        left, top = (int(rng.integers(0, full - part + 1)) for full, part in zip(image.size, box, strict=True))
        return image.crop((left, top, left + box[0], top + box[1]))
    return image


def dark(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    if rng.random() < 0.5:
        return image.point(lambda v: v // 16)
    return image.filter(ImageFilter.GaussianBlur(max(image.size) / 12))


def leak(context: Context, share: float, rng: np.random.Generator) -> Context:
    rows = share_of(context.held_out, share, rng)
    return joined(context, embedded(context, rows, copy_of, rng), "train", "copies")


def conflict(context: Context, share: float, rng: np.random.Generator) -> Context:
    rows = share_of(context.train, share, rng)
    twins = context.only(rows)
    labels = (twins.labels + rng.integers(1, context.num_classes, len(rows))) % context.num_classes
    samples = [replace(s, label=int(label)) for s, label in zip(twins.dataset.samples, labels, strict=True)]
    return joined(context, with_samples(twins, samples), "train", "twins")


def spoil(context: Context, share: float, rng: np.random.Generator) -> Context:
    return changed(context, share_of(np.arange(len(context.dataset)), share, rng), dark, rng)


def strangers_from(other: Context) -> Callable[[Context, float, np.random.Generator], Context]:
    def plant(context: Context, share: float, rng: np.random.Generator) -> Context:
        rows = share_of(np.arange(len(context.dataset)), share, rng)
        source = rng.permutation(len(other.dataset))[: len(rows)]
        statistics, features = context.statistics.copy(), context.embeddings[_BACKBONE].copy()
        statistics[rows], features[rows] = other.statistics[source], other.embeddings[_BACKBONE][source]
        return replace(context, statistics=statistics, embeddings={_BACKBONE: features}, _kept={})

    return plant


def thin(context: Context, kept: float, rng: np.random.Generator) -> Context:
    """Two classes (one of three) keep a few training images only."""
    count = max(1, context.num_classes // 5)
    seen = np.bincount(context.labels[context.held_out], minlength=context.num_classes)
    chosen = np.argsort(-seen)[1 : 1 + count]
    keep = np.ones(len(context.dataset), dtype=bool)
    for label in chosen:
        members = rng.permutation(context.train[context.labels[context.train] == label])
        keep[members[int(kept) :]] = False
    return context.only(np.flatnonzero(keep))


def shift(context: Context, strength: float, rng: np.random.Generator) -> Context:
    def other_camera(image: Image.Image, _rng: np.random.Generator) -> Image.Image:
        pixels = np.asarray(image, dtype=float)
        return Image.fromarray(np.uint8(pixels * (1 - strength) + (255 - pixels) * strength))

    return changed(context, context.held_out, other_camera, rng)


def patch(context: Context, share: float, rng: np.random.Generator) -> Context:
    """A square in the colour of the class in a corner of the training images, a fifth of their side."""
    colours = rng.integers(0, 256, (context.num_classes, 3))
    rows = share_of(context.train, share, rng)
    label = iter(context.labels[rows])

    def mark(image: Image.Image, _rng: np.random.Generator) -> Image.Image:
        side = max(image.size) // 5
        image.paste(tuple(int(c) for c in colours[next(label)]), (0, 0, side, side))
        return image

    return changed(context, rows, mark, rng)


def misspell(context: Context, share: float, rng: np.random.Generator) -> Context:
    """The most frequent classes go by two names."""
    order = np.argsort(-np.bincount(context.labels, minlength=context.num_classes))[: max(1, context.num_classes // 4)]
    names, samples = list(context.dataset.classes), list(context.dataset.samples)
    for label in order:
        names.append(context.dataset.classes[label].swapcase() + " ")
        for row in share_of(np.flatnonzero(context.labels == label), share, rng):
            samples[row] = replace(samples[row], label=len(names) - 1)
    return with_samples(context, samples, tuple(names))


def few(context: Context, per_class: float, rng: np.random.Generator) -> Context:
    """So many training images a class."""
    keep = list(context.held_out)
    for label in range(context.num_classes):
        keep += list(rng.permutation(context.train[context.labels[context.train] == label])[: int(per_class)])
    return context.only(np.sort(keep))


def lose(context: Context, share: float, _rng: np.random.Generator) -> Context:
    lost = tuple(
        Skipped(path=f"train/lost{i}.jpg", reason="truncated") for i in range(round(share * len(context.dataset)))
    )
    return replace(context, dataset=replace(context.dataset, skipped=lost), _kept={})


def mislabel(context: Context, share: float, rng: np.random.Generator) -> Context:
    samples = list(context.dataset.samples)
    for row in share_of(np.arange(len(samples)), share, rng):
        label = (samples[row].label + int(rng.integers(1, context.num_classes))) % context.num_classes
        samples[row] = replace(samples[row], label=label)
    return with_samples(context, samples)


def scramble(context: Context, share: float, rng: np.random.Generator) -> Context:
    """The labels of so many images, dealt out anew among them."""
    samples = list(context.dataset.samples)
    rows = share_of(np.arange(len(samples)), share, rng)
    for row, label in zip(rows, rng.permutation(context.labels[rows]), strict=True):
        samples[row] = replace(samples[row], label=int(label))
    return with_samples(context, samples)


def synonyms(context: Context, count: float, rng: np.random.Generator) -> Context:
    """So many of the most frequent classes go by two unlike names, half of their images by each."""
    order = np.argsort(-np.bincount(context.labels, minlength=context.num_classes))[: int(count)]
    names, samples = list(context.dataset.classes), list(context.dataset.samples)
    for number, label in enumerate(order):
        names.append(f"synonym {number}")
        for row in share_of(np.flatnonzero(context.labels == label), 0.5, rng):
            samples[row] = replace(samples[row], label=len(names) - 1)
    return with_samples(context, samples, tuple(names))


def repeat(context: Context, share: float, rng: np.random.Generator) -> Context:
    """Copies of so many images beside them, and no splits."""
    rows = share_of(np.arange(len(context.dataset)), share, rng)
    both = joined(context, embedded(context, rows, copy_of, rng), "train", "again")
    whole = with_samples(both, [replace(sample, split=None) for sample in both.dataset.samples])
    return replace(whole, dataset=replace(whole.dataset, given_splits=False))


def burst(context: Context, size: float, rng: np.random.Generator) -> Context:
    """Each picture becomes a film of several frames, which the split takes apart at random."""
    rows = np.repeat(share_of(np.arange(len(context.dataset)), 700 / size / len(context.dataset), rng), int(size))

    def frame(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        box = round(image.width * 0.75), round(image.height * 0.75)
        left, top = (int(rng.integers(0, full - part + 1)) for full, part in zip(image.size, box, strict=True))
        cut = image.crop((left, top, left + box[0], top + box[1])).rotate(float(rng.uniform(-8, 8)))
        gain = float(rng.uniform(0.75, 1.25))
        return cut.point(lambda v: min(255, int(v * gain)))

    looked = embedded(context, rows, frame, rng)
    samples = [
        replace(
            s,
            path=f"film{hash(int(row)) & 0xFFFF:05d}x_{i % int(size):03d}.jpg",
            split="train" if rng.random() < 0.75 else "val",
        )
        for i, (s, row) in enumerate(zip(looked.dataset.samples, rows, strict=True))
    ]
    return with_samples(looked, samples)


def cases(other: Context) -> list[Case]:
    planned = {
        "unreadable-files": (lose, (0.03, 0.15)),
        "image-quality": (spoil, (0.05, 0.15)),
        "split-leakage": (leak, (0.05, 0.2)),
        "conflicting-duplicates": (conflict, (0.04, 0.12)),
        "group-leakage": (burst, (5, 10)),
        "class-imbalance": (thin, (5, 2)),
        "split-shift": (shift, (0.6, 0.9)),
        "off-topic": (strangers_from(other), (0.04, 0.12)),
        "shortcut": (patch, (0.9, 1.0)),
        "label-names": (misspell, (0.2, 0.5)),
        "too-few-images": (few, (8, 4)),
        "label-noise": (mislabel, (0.05, 0.2)),
        "class-overlap": (synonyms, (1, 2)),
        "no-signal": (scramble, (0.97, 1.0)),
        "duplicates": (repeat, (0.15, 0.5)),
    }
    return [Case(cause, severity, plant) for cause, (plant, levels) in planned.items() for severity in levels]


def failures(context: Context) -> dict[str, list[str]]:
    """Causes that fail, by check; a crash is one too."""
    return {
        name: [finding.cause for finding in DATA_CHECKS[name]().run(context) if finding.outcome is Outcome.FAIL]
        for name in DATA_CHECKS
    }


def healthy(name: str, context: Context, count: int, done: set[Key]) -> Iterator[dict[str, Any]]:
    """Every check on variants that nothing is wrong with."""
    for seed in range(count):
        if (name, "", 0.0, seed) in done:
            continue
        failed = failures(healthy_variant(context, seed))
        alarms = [cause for causes in failed.values() for cause in causes]
        yield {"set": name, "seed": seed, "runs": len(failed), "alarms": alarms}


def planted(name: str, context: Context, other: Context, seeds: int, done: set[Key]) -> Iterator[dict[str, Any]]:
    """Every fault at both severities, in variants that no alarm was counted on."""
    for seed in range(seeds):
        for case in cases(other):
            if (name, case.cause, float(case.severity), seed) in done:
                continue
            rng = np.random.default_rng(1000 + seed)
            twin = variant(context, 1000 + seed)
            looked = case.plant(twin, case.severity, rng)
            found = [cause for causes in failures(looked).values() for cause in causes]
            rest = [cause for cause in found if cause != case.cause]
            yield {
                "set": name, "cause": case.cause, "severity": case.severity, "seed": seed, "found": case.cause in found,
                "others": rest, "cost": held_out_accuracy(twin) - held_out_accuracy(looked),
            }  # fmt: skip


def held_out_accuracy(context: Context) -> float:
    """What the closed-form probe reaches on the held-out images, learning from the training images."""
    return float((context.trial() == context.labels[context.held_out]).mean())


def key(line: dict[str, Any]) -> Key:
    return line["set"], line.get("cause", ""), float(line.get("severity", 0)), line["seed"]


def report(lines: Sequence[dict[str, Any]]) -> str:
    """Recall, false alarms on healthy variants, and what else fails beside a planted fault."""
    clean, cases_ = [line for line in lines if "alarms" in line], [line for line in lines if "cause" in line]
    alarms = Counter(cause for line in clean for cause in line["alarms"])
    rows = ["| cause | recall | false alarms on healthy variants | precision | missed |", "|---|---|---|---|---|"]
    for cause in dict.fromkeys(line["cause"] for line in cases_):
        mine = [line for line in cases_ if line["cause"] == cause]
        found, false = sum(line["found"] for line in mine), alarms[cause]
        precision = found / (found + false) if found + false else float("nan")
        listed = "; ".join(described(m) for m in mine if not m["found"])
        rows.append(f"| {cause} | {found}/{len(mine)} | {false} | {precision:.2f} | {listed} |")
    runs, total = sum(line["runs"] for line in clean), sum(alarms.values())
    share = 100 * total / max(runs, 1)
    rows += ["", f"{total} of {runs} check runs on {len(clean)} healthy variants failed ({share:.1f} %)."]
    rows += [f"Alarms on healthy variants: {dict(alarms) or 'none'}."]
    beside = Counter(cause for line in cases_ for cause in line["others"])
    return "\n".join([*rows, f"Failed beside the planted cause in {len(cases_)} cases: {dict(beside)}.", ""])


def described(line: dict[str, Any]) -> str:
    """A planted fault's data set, its severity, and where it was measured what it costs."""
    cost = f" ({100 * line['cost']:.1f} points)" if "cost" in line else ""
    return f"{line['set']} {line['severity']:g}{cost}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of clothing, sign_digits, blood_cells")
    parser.add_argument("--results", type=Path, required=True, help="JSON lines that every run adds to")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--part", choices=("healthy", "planted", "all"), default="all")
    parser.add_argument("--healthy", type=int, default=12, help="healthy variants of each data set")
    parser.add_argument("--seeds", type=int, default=1, help="repeats of each fault")
    parser.add_argument("--out", type=Path, help="write the table of all results so far")
    options = parser.parse_args()
    if options.data is not None:
        for name in options.sets:
            for line in runs(options, name):
                with options.results.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(line, flush=True)
    if options.out is not None:
        options.out.write_text(report(lines_of(options.results)))


def runs(options: argparse.Namespace, name: str) -> Iterator[dict[str, Any]]:
    """What is asked for of one data set and not done yet."""
    done = {key(line) for line in lines_of(options.results)}
    context = load(options.data / name)
    if options.part in ("healthy", "all"):
        yield from healthy(name, context, options.healthy, done)
    if options.part in ("planted", "all"):
        other = load(options.data / SETS[(SETS.index(name) + 1) % len(SETS)])
        yield from planted(name, context, other, options.seeds, done)


def lines_of(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


if __name__ == "__main__":
    main()
