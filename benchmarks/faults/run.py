"""Run the fault benchmark.

    python -m benchmarks.faults.run --out faults.jsonl                     # all cases; goes on where it stopped
    python -m benchmarks.faults.run --out faults.jsonl --minutes 15        # a slice of it
    python -m benchmarks.faults.run --out faults.jsonl --quick             # a few cases in drawings, under five minutes
    python -m benchmarks.faults.report faults.jsonl

One JSON line a case. Features are kept in ``$ZOO_CACHE`` (set it to a folder that stays) and shared by all cases.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faults.handed import HEALTHY, train
from benchmarks.faults.registry import VALIDATION, Case, cases
from benchmarks.faults.truth import cost, doubling, wrong_labels
from benchmarks.faults.worlds import World, world
from diagnose.diagnosis import Options, diagnose_fully
from diagnose.report import as_json
from diagnose.submission import Submission

Row = dict[str, Any]
RUNGS = ("data", "log", "predictions", "code")
#: What a plain ``pip install`` brings.
BACKBONES = ("efficientnet_lite0",)


def run_case(case: Case, budget: float) -> Row:
    """Diagnose one case and say what would have been right."""
    twin = world(case.source, case.seed, train=case.train, validation=VALIDATION)
    faulty = spoilt(case, twin)
    with tempfile.TemporaryDirectory() as scratch:
        folder = faulty.write(Path(scratch) / "pictures")
        options = Options(backbones=BACKBONES)
        if case.file:
            path = Path(scratch) / "train.py"
            path.write_text(case.text, encoding="utf-8")
            options = replace(options, budget=budget, submission=Submission(algorithm=path))
        more, lost = hand_over(case, folder, Path(scratch))
        if log := more.pop("log", None):
            options = replace(options, submission=Submission(log=log))
        started = time.monotonic()
        said = as_json(diagnose_fully(folder, options=options, offline=True, **more).verdict)
    seconds = time.monotonic() - started
    truth = {**expected(case, twin, faulty), **lost}
    return {**described(case), **truth, "said": brief(said), "seconds": round(seconds, 1)}


def hand_over(case: Case, folder: Path, scratch: Path) -> tuple[dict[str, Any], Row]:
    """The log or the predictions of a training on the folder, and what its fault costs beside a sound training."""
    if not case.rung:
        return {}, {}
    sound = train(folder, BACKBONES[0], HEALTHY, case.seed)
    training = case.handed.trainings[case.step] if case.handed else HEALTHY
    own = train(folder, BACKBONES[0], training, case.seed) if case.handed else sound
    lost = {"code_cost": round(sound.accuracy - own.accuracy, 4), "accuracy": round(own.accuracy, 4)}
    if case.rung == "log":
        return {"log": own.write_log(scratch / "log.csv")}, lost
    predictions = own.write_predictions(scratch / "predictions.csv")
    return {"predictions": predictions, "got": min(1.0, own.accuracy + training.overstated)}, lost


@cache
def by_name() -> dict[str, Case]:
    """All cases: a process is told which by its name, since the functions that plant faults cannot be sent."""
    return {case.name: case for case in cases()}


def run_named(name: str, budget: float) -> Row:
    """The same, by name."""
    return run_case(by_name()[name], budget)


def spoilt(case: Case, twin: World) -> World:
    """The world of a case, with its data fault where it has one."""
    if case.data is None:
        return twin
    return case.data.plant(twin, case.severity, np.random.default_rng([case.seed, round(1000 * case.severity)]))


def described(case: Case) -> Row:
    """What the case is."""
    return {
        "case": case.name,
        "half": case.half,
        "kind": case.kind,
        "source": case.source,
        "seed": case.seed,
        "file": case.file,
        "data": None if case.data is None else case.data.name,
        "data_causes": [] if case.data is None else list(case.data.causes),
        "severity": case.severity,
        "rung": case.rung,
        "code": None if case.mistake is None else case.mistake.name,
        "code_causes": [] if case.mistake is None else list(case.mistake.causes),
        "step": case.step,
        "measured": case.mistake is None or case.mistake.measured,
    }


def expected(case: Case, twin: World, faulty: World) -> Row:
    """What is true of it, as far as data goes; what a fault in code costs shows beside its healthy twin's row."""
    if case.data is None:
        more = {} if case.file or case.rung else {"doubling": round(doubling(twin, doubled(case, twin))[0], 4)}
        return {"cost": 0.0, "noise": [0.0, 0.0], **more}
    true, claims = cost(twin, faulty)
    points = asdict(claims)
    if "too-few-images" in case.data.causes:
        points["doubling"] = doubling(faulty, doubled(case, faulty))
    return {
        "cost": round(true.points, 4),
        "learning": [round(true.learning, 4), round(true.error, 4)],
        "measuring": round(true.measuring, 4),
        "fresh": round(true.fresh, 4),
        "points": {claim: [round(value, 4), round(error, 4)] for claim, (value, error) in points.items()},
        "noise": [round(share, 4) for share in wrong_labels(faulty)],
    }


def doubled(case: Case, few: World) -> World:
    """The world with twice the pictures of each class to learn from, as far as the data set has them.

    They are taken from those that the world does not use; fresh ones are left.
    """
    larger = world(case.source, case.seed, train=2 * case.train, validation=VALIDATION)
    used = {picture.name for picture in few.pictures}
    left = Counter(p.label for p in few.pictures if p.split == "train")
    new = []
    for picture in larger.pictures:
        if picture.name not in used and left[picture.label] > 0:
            left[picture.label] -= 1
            new.append(replace(picture, split="train"))
    return replace(few.added(new), fresh=tuple(p for p in larger.fresh if p.name not in used))


def brief(said: Row) -> Row:
    """What a diagnosis said, without messages and examples."""

    def finding(entry: Row) -> Row:
        return {
            "name": entry["name"],
            "side": entry["side"],
            "points": entry.get("points"),
            "rate": next((e for e in entry.get("evidence", []) if e["statistic"] == "share of wrong labels"), None),
        }

    return {
        "verdict": said["verdict"],
        "strength": said["strength"],
        "causes": [finding(entry) for entry in said["causes"]],
        "remarks": [finding(entry) for entry in said["remarks"]],
        "controls": {name: [round(c["value"], 4), c["interval"]] for name, c in said["controls"].items()},
        "yours": said["points"]["yours"],
        "failures": said["failures"],
        "seconds": said["seconds"],
    }


def read_rows(path: Path) -> list[Row]:
    """The rows so far."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def pending(chosen: Sequence[Case], path: Path) -> list[Case]:
    """Cases without a row."""
    done = {row["case"] for row in read_rows(path)}
    return [case for case in chosen if case.name not in done]


def run(chosen: Sequence[Case], out: Path, *, workers: int, budget: float, seconds: float) -> None:
    """Run cases in processes and add a row for each; stop giving out new ones after ``seconds``."""
    end = time.monotonic() + seconds
    waiting = pending(chosen, out)[::-1]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running: dict[Future[Row], Case] = {}
        while running or (waiting and time.monotonic() < end):
            while waiting and len(running) < workers and time.monotonic() < end:
                case = waiting.pop()
                running[pool.submit(run_named, case.name, budget)] = case
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                case = running.pop(future)
                error = future.exception()
                row = {**described(case), "error": repr(error)} if error else future.result()
                with out.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(row) + "\n")
                print(case.half, case.name, "->", _line(row), flush=True)
    print(f"{len(pending(chosen, out))} cases are left", flush=True)


def _line(row: Row) -> str:
    if "error" in row:
        return row["error"]
    said = row["said"]
    causes = [f"{c['name']}" for c in said["causes"]]
    return f"{said['verdict']} {causes} cost {row['cost']:.3f} ({row['seconds']:.0f} s)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("faults.jsonl"))
    parser.add_argument("--quick", action="store_true", help="a few cases in drawings")
    parser.add_argument("--kind", default="", help="healthy, data, algorithm or both only")
    parser.add_argument("--rung", default="", choices=["", *RUNGS], help="by what is handed over beside data")
    parser.add_argument("--half", default="", choices=["", "dev", "report"])
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--budget", type=float, default=60.0, help="seconds for an algorithm")
    parser.add_argument("--minutes", type=float, default=1e6, help="give out no new case after this")
    options = parser.parse_args()
    os.environ.setdefault("ZOO_CACHE", str(options.out.resolve().parent / "faults-cache"))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    chosen = [
        case
        for case in cases()
        if options.kind in ("", case.kind)
        and options.half in ("", case.half)
        and options.rung in ("", case.rung or ("code" if case.file else "data"))
        and options.only in case.name
    ]
    if options.quick:
        chosen = quick(chosen)
    order = np.random.default_rng(0).permutation(len(chosen))  # so that a slice is a sample of the whole
    run(
        [chosen[i] for i in order],
        options.out,
        workers=options.workers,
        budget=options.budget,
        seconds=60 * options.minutes,
    )


def quick(chosen: Sequence[Case]) -> list[Case]:
    """A few of each kind, in drawings: those need no data set and no pass over one."""
    drawn = [case for case in chosen if case.source == "digits"]
    cheap, code = [c for c in drawn if not c.file], [c for c in drawn if c.file]
    return [*cheap[::4], *code[:: max(1, len(code) // 3)][:3]]


if __name__ == "__main__":
    main()
