"""Make zoo/index.json from the installed timm and torchvision.

    python benchmarks/make_index.py [--accuracy results-imagenet.csv]

Parameters are counted by building every model on the meta device (minutes). ImageNet accuracies of timm models come
from https://github.com/huggingface/pytorch-image-models/blob/main/results/results-imagenet.csv; without the file,
those already in zoo/index.json are kept.
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
from zoo.card import Card

INDEX = Path(index.__file__).with_name("index.json")


def accuracies(results: Path | None) -> dict[str, float]:
    """Top-1 by model name, fractions."""
    if results is None:
        rows = json.loads(INDEX.read_text("utf-8"))["models"] if INDEX.exists() else []
        return {row[0]: row[5] for row in rows if row[5] is not None}
    with results.open(encoding="utf-8") as file:
        return {row["model"]: round(float(row["top1"]) / 100, 5) for row in csv.DictReader(file)}


def with_parameters(card: Card) -> Card:
    """The card of a timm model with its number of parameters."""
    try:
        with torch.device("meta"):
            module = timm.create_model(card.name, pretrained=False)
    except (RuntimeError, NotImplementedError, ValueError, TypeError, AssertionError) as error:
        print(f"{card.name}: parameters unknown: {error}")
        return card
    return replace(card, parameters=sum(p.numel() for p in module.parameters()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accuracy", type=Path, help="results-imagenet.csv of timm")
    top1 = accuracies(parser.parse_args().accuracy)
    cards = [with_parameters(upstream.timm_card(name)) for name in upstream.timm_names()]
    cards = [replace(card, accuracy=top1.get(card.name)) for card in cards]
    cards += [upstream.torchvision_card(name) for name in upstream.torchvision_names()]
    versions = [[library, version(library).partition("+")[0]] for library in ("timm", "torchvision")]
    rows = ",\n".join(json.dumps(index.row(card), separators=(",", ":")) for card in cards)
    INDEX.write_text(f'{{"versions":{json.dumps(versions)},"models":[\n{rows}\n]}}\n', "utf-8")
    print(f"{len(cards)} models, {sum(c.accuracy is not None for c in cards)} with an accuracy, in {INDEX.name}")


if __name__ == "__main__":
    main()
