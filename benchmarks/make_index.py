"""Make zoo/index.json from the installed timm and torchvision.

    python benchmarks/make_index.py [--accuracy results-imagenet.csv] [--again]

Parameters are counted by building every model on the meta device (ten minutes on one core); those in the present
index are kept where the architecture's name is the same, unless ``--again`` is given. ImageNet accuracies of timm's
models are those its authors publish in
https://github.com/huggingface/pytorch-image-models/blob/main/results/results-imagenet.csv; ``timm_top1.csv`` beside
this file holds a selection of its rows.
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import timm
import torch

from zoo import index, upstream

INDEX = Path(index.__file__).with_name("index.json")


def accuracies(results: Path) -> dict[str, float]:
    """Top-1 by model name, fractions."""
    with results.open(encoding="utf-8") as file:
        return {row["model"]: round(float(row["top1"]) / 100, 5) for row in csv.DictReader(file)}


def count_parameters(name: str) -> int | None:
    """Of a timm model."""
    try:
        with torch.device("meta"):
            module = timm.create_model(name, pretrained=False)
    except (RuntimeError, NotImplementedError, ValueError, TypeError, AssertionError) as error:
        print(f"{name}: parameters unknown: {error}")
        return None
    return sum(parameter.numel() for parameter in module.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accuracy", type=Path, default=Path(__file__).with_name("timm_top1.csv"))
    parser.add_argument("--again", action="store_true", help="count all parameters again")
    options = parser.parse_args()
    top1 = accuracies(options.accuracy)
    known = index.cards() if INDEX.exists() and not options.again else {}
    cards = [upstream.timm_card(name) for name in upstream.timm_names()]
    counts = {name: card.parameters for name, card in known.items()}
    cards = [
        replace(card, parameters=counts.get(card.name) or count_parameters(card.name), accuracy=top1.get(card.name))
        for card in cards
    ]
    for name in sorted(top1.keys() - {card.name for card in cards}):
        print(f"{name}: not in this timm")
    cards += [upstream.torchvision_card(name) for name in upstream.torchvision_names()]
    versions = [[library, version(library).partition("+")[0]] for library in ("timm", "torchvision")]
    rows = ",\n".join(json.dumps(index.row(card), separators=(",", ":")) for card in cards)
    INDEX.write_text(f'{{"versions":{json.dumps(versions)},"models":[\n{rows}\n]}}\n', "utf-8")
    print(f"{len(cards)} models, {sum(card.accuracy is not None for card in cards)} with an accuracy, in {INDEX.name}")


if __name__ == "__main__":
    main()
