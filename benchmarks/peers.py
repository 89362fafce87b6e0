"""zoo finetune against fastai's ``fine_tune(3)`` and the Hugging Face Trainer: seconds and test accuracy.

    python -m benchmarks.peers DATA [--repeats N] [--images N] [--out peers.jsonl]

DATA is an image folder with train, validation and test. Backbone, ImageNet weights, images and machine are the same for
all; each run is a process of its own with an empty cache, and the peers take turns within a round. fastai:
``vision_learner`` with its defaults. Trainer: 3 epochs of ``TrainingArguments``' defaults with the augmentation of its
image-classification example (random resized crop and flip). Then ``zoo finetune`` as it comes, and ``--full`` with as
much time as the slower peer took. A round that was stopped goes on where it was: what is in ``--out`` is not done
again. ``pip install fastai transformers`` first; zoovet needs neither.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODEL = "efficientnet_lite0"
SIDE = 224
MEAN = STD = (0.5, 0.5, 0.5)
EPOCHS = 3


def backbone(num_classes: int):
    """The bundled ImageNet model with a fresh head."""
    import timm

    from zoo.catalog import card
    from zoo.weights import load

    fresh = timm.create_model("tf_efficientnet_lite0", num_classes=num_classes)
    pretrained = load(card(MODEL)).state_dict()
    fresh.load_state_dict({k: v for k, v in pretrained.items() if not k.startswith("classifier")}, strict=False)
    return fresh


def fastai(data: Path, _seconds: float) -> float:
    from fastai.vision.all import (
        ImageDataLoaders,
        Normalize,
        Resize,
        accuracy,
        aug_transforms,
        get_image_files,
        vision_learner,
    )

    loaders = ImageDataLoaders.from_folder(
        data, train="train", valid="validation", item_tfms=Resize(SIDE),
        batch_tfms=[*aug_transforms(), Normalize.from_stats(MEAN, STD)],
    )  # fmt: skip
    learner = vision_learner(loaders, "tf_efficientnet_lite0", pretrained=False, normalize=False, metrics=accuracy)
    found = learner.model[0].model.load_state_dict(backbone(len(loaders.vocab)).state_dict(), strict=False)
    assert not found.missing_keys, found.missing_keys
    learner.fine_tune(EPOCHS)
    files = get_image_files(data / "test")
    probabilities, _ = learner.get_preds(dl=loaders.test_dl(files))
    names = list(loaders.vocab)
    said = probabilities.argmax(1).tolist()
    return statistics.fmean(names[i] == file.parent.name for i, file in zip(said, files, strict=True))


def trainer(data: Path, _seconds: float) -> float:
    import torch
    from torch import nn
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2
    from transformers import Trainer, TrainingArguments

    class Classifier(nn.Module):
        def __init__(self, classes: int) -> None:
            super().__init__()
            self.model = backbone(classes)

        def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
            logits = self.model(pixel_values)
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    tensor = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    train = ImageFolder(data / "train", v2.Compose([v2.RandomResizedCrop(SIDE), v2.RandomHorizontalFlip(), *tensor]))
    test = ImageFolder(data / "test", v2.Compose([v2.Resize(SIDE), v2.CenterCrop(SIDE), *tensor]))

    def collate(rows: list[tuple[torch.Tensor, int]]) -> dict[str, torch.Tensor]:
        return {"pixel_values": torch.stack([x for x, _ in rows]), "labels": torch.tensor([y for _, y in rows])}

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(folder, num_train_epochs=EPOCHS, save_strategy="no", report_to=[], use_cpu=True)
        peer = Trainer(Classifier(len(train.classes)), arguments, data_collator=collate, train_dataset=train)
        peer.train()
        found = peer.predict(test)
    return float((found.predictions.argmax(1) == found.label_ids).mean())


def probe(data: Path, _seconds: float) -> float:
    return _zoo(data, recipe="probe")


def full(data: Path, seconds: float) -> float:
    return _zoo(data, time=f"{int(seconds)}s")


def _zoo(data: Path, **choices: str) -> float:
    import zoo

    with tempfile.TemporaryDirectory() as folder:
        run = zoo.finetune(MODEL, data, out=Path(folder) / "run", **choices)
        return run.predictions("test").scores().accuracy


def part(data: Path, images: int, place: Path) -> Path:
    """A copy of the folder, by links, with only so many training images, evenly spread over its list."""
    for file in data.glob("*/*/*"):
        copied = place / file.relative_to(data)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.symlink_to(file)
    training = sorted((place / "train").glob("*/*"))
    kept = {training[i * len(training) // images] for i in range(images)}
    for file in set(training) - kept:
        file.unlink()
    return place


WAYS = {"fastai": fastai, "trainer": trainer, "probe": probe, "full": full}


def one(way: str, data: Path, seconds: float) -> dict[str, float | str]:
    """A run in a process of its own; its seconds count everything from its start to the test accuracy.

    On a machine that does other work as well, seconds of processors tell more.
    """
    with tempfile.TemporaryDirectory() as cache:
        start, before = time.perf_counter(), os.times()
        command = [sys.executable, "-m", "benchmarks.peers", str(data), "--way", way, "--seconds", str(seconds)]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "ZOO_CACHE": cache}
        )
        took, after = time.perf_counter() - start, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return {"way": way, "seconds": took, "processor": used, "accuracy": float(done.stdout.split()[-1])}


def rounds(data: Path, repeats: int, out: Path) -> list[dict[str, float | str]]:
    """Every way ``repeats`` times, in turn; each run is noted in ``out`` as soon as it ends."""
    rows = [json.loads(text) for text in out.read_text("utf-8").splitlines()] if out.exists() else []
    for number in range(len(rows), repeats * len(WAYS)):
        begun = number - number % len(WAYS)
        slowest = max((float(row["seconds"]) for row in rows[begun:]), default=0.0)
        rows.append(one(list(WAYS)[number - begun], data, slowest))
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print(
            "{way:8} {seconds:8.1f} s, {processor:8.1f} s of processors, test accuracy {accuracy:.4f}".format(
                **rows[-1]
            )
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--images", type=int, default=0, help="only so many training images; 0 for all")
    parser.add_argument("--out", type=Path, default=Path("peers.jsonl"))
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=0.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(WAYS[options.way](options.data, options.seconds))
        return
    with tempfile.TemporaryDirectory() as place:
        data = part(options.data.resolve(), options.images, Path(place)) if options.images else options.data
        rows = rounds(data, options.repeats, options.out)
    for way in WAYS:
        mine = [row for row in rows if row["way"] == way]
        seconds = statistics.median(float(row["seconds"]) for row in mine)
        accuracy = statistics.median(float(row["accuracy"]) for row in mine)
        print(f"median {way:8} {seconds:8.1f} s  {accuracy:.4f}")


if __name__ == "__main__":
    main()
