"""Pointing game and foreground share: photographs placed small on microscope pictures, so that their boxes are known.

The model is the run of ``zoo finetune efficientnet_lite0 PHOTOGRAPHS``, made under ``--runs`` where it is not there; only
held-out pictures whose class it still finds are counted. ``auto`` chooses on others. Each row is printed as soon as it
is there.

    python -m benchmarks.explain_boxes PHOTOGRAPHS BACKGROUNDS --images 24
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.explain_faithfulness import PART, Bench, interval
from benchmarks.explain_subjects import Subject, held_out, run_of
from explain.boxes import located
from zoo.data.names import class_name
from zoo.preprocess import Preprocess

SIDE, OBJECT = 224, 112


def placed(files: list[Path], grounds: list[Path], preprocess: Preprocess, seed: int = 0) -> tuple[Tensor, np.ndarray]:
    """Inputs, and the masks of the photographs in them."""
    rng = np.random.default_rng(seed)
    pixels, masks = [], np.zeros((len(files), SIDE, SIDE), dtype=bool)
    for k, file in enumerate(files):
        ground = Image.open(grounds[int(rng.integers(len(grounds)))]).convert("RGB").resize((SIDE, SIDE))
        top, left = (int(v) for v in rng.integers(0, SIDE - OBJECT, 2))
        ground.paste(Image.open(file).convert("RGB").resize((OBJECT, OBJECT)), (left, top))
        masks[k, top : top + OBJECT, left : left + OBJECT] = True
        pixels.append(np.asarray(ground))
    return preprocess.normalise(torch.from_numpy(np.stack(pixels))), masks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("backgrounds", type=Path)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--calibration", type=int, default=12)
    parser.add_argument("--runs", type=Path, default=Path("runs-faithfulness"))
    parser.add_argument("--skip", default="nothing", help="Leave out peers whose name holds this.")
    arguments = parser.parse_args()
    run, wanted = run_of("probe", arguments.photographs, arguments.runs), arguments.images + arguments.calibration
    files = [held_out(run)[k] for k in np.random.default_rng(0).permutation(len(held_out(run)))[: 3 * wanted]]
    model = run.module().eval()
    inputs, masks = placed(files, sorted(arguments.backgrounds.rglob("*.jpg")), run.preprocess)
    with torch.no_grad():
        found = torch.cat([model(part).argmax(1) for part in inputs.split(PART)]).tolist()
    right = [k for k, f in enumerate(files) if run.classes[found[k]] == class_name(f.parent.name)][:wanted]
    few, rest = right[: arguments.calibration], right[arguments.calibration :]
    bench = Bench.of(Subject(model=model, inputs=inputs[rest], calibration=inputs[few]))
    print(f"{len(rest)} of {len(files)} pictures; the object takes {masks[rest].mean():.0%}\n")
    print("| method | pointing game | relevance on the object, 95 % interval | auto minus it |\n|---|---|---|---|")
    best = np.zeros(0)
    for name, work in bench.work([]):
        if arguments.skip in name:
            continue
        maps, chosen = work()
        scores = [located(m.float().detach().numpy(), mask) for m, mask in zip(maps, masks[rest], strict=True)]
        hits, share = np.mean([s.hit for s in scores]), np.array([s.foreground for s in scores])
        best = share if name == "auto" else best
        ours = "" if name == "auto" else "{:+.0%} ({:+.0%} to {:+.0%})".format(*spread(best - share))
        what = f"auto ({chosen})" if chosen else name
        print(f"| {what} | {hits:.0%} | {'{:.0%} ({:.0%} to {:.0%})'.format(*spread(share))} | {ours} |", flush=True)


def spread(values: np.ndarray) -> tuple[float, float, float]:
    return float(values.mean()), *interval(values)


if __name__ == "__main__":
    main()
