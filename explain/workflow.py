"""``explain()``: from a model and images to heatmaps that carry their own score."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from explain.attribution import METHODS, attribute
from explain.boxes import Mask, located, read_masks
from explain.choice import Choice, choose, named
from explain.claims import Evidence, Shortcut
from explain.classifier import Classifier, Targets, classifier_of, targets
from explain.clusters import MapCluster, map_clusters
from explain.explanation import Explanation, Explanations, Score
from explain.faithfulness import Deletion, relevance_gain
from explain.memory import remembered
from explain.null import NULL_MAPS, badges
from explain.outputs import write_outputs
from explain.pictures import Images, Picture, read_pictures
from explain.race import Calibration
from explain.related import read_labelled, references, related
from explain.shortcuts import find_shortcuts
from explain.structure import Structure, find_structure
from zoo.data.dataset import Dataset
from zoo.errors import OptionError
from zoo.progress import ProgressCallback, silent
from zoo.request import vacant
from zoo.run import Run

#: With fewer held-out images than this, the pictures join them to choose a method and measure its null: the map of one
#: picture can be told from chance only beside those of others.
_FEWEST_CALIBRATION = 8


@dataclass(frozen=True, kw_only=True)
class ExplainSettings:
    """What rarely needs a change.

    Attributes:
        most: Images explained; drawn with the seed where there are more.
        calibration: Held-out images of the run that the method, its null and its sanity gate are measured on, at most;
            of a model without a run, the first of the pictures.
        deletion: How maps are scored.
        batch: Images at a time; halved when memory runs out.
        references: Training images that are looked at for neighbours and influence, where the store holds the features
            of fewer.
        related: Neighbours and influential images shown for each image; 0 leaves them out.
        masks: Masks, VOC or COCO boxes of the images.
        shortcuts: Whether shortcuts are searched for.
        device: ``auto`` leaves a model where it is, and puts a run on the fastest device.
    """

    most: int = 64
    calibration: int = NULL_MAPS
    deletion: Deletion = field(default_factory=Deletion)
    batch: int = 16
    references: int = 256
    related: int = 4
    masks: Path | None = None
    shortcuts: bool = True
    device: str = "auto"


def explain(
    subject: Classifier | Run | nn.Module | str | Path,
    images: Images | None = None,
    *,
    method: str = "auto",
    target: str = "pred",
    out: str | Path | None = None,
    seed: int = 0,
    settings: ExplainSettings | None = None,
    progress: ProgressCallback = silent,
) -> Explanations:
    """Explain what a model says of images, and measure how far each explanation may be believed.

    Args:
        subject: A run or its folder, a ``Classifier``, or any timm or torchvision model.
        images: Files, a folder, a data set, or opened pictures; ``(picture, label)`` pairs where labels are known. By
            default the held-out images of the run.
        method: A name in ``METHODS``, or ``auto``: candidates are measured, the best is kept with its evidence.
        target: ``pred``, ``true``, ``contrast`` (why this class and not the true one), or a class.
        out: Folder for maps, overlays, ``manifest.json``, ``shortcuts.json`` and ``report.html``; new or empty.
        seed: The same seed gives the same bytes.
        settings: What rarely needs a change.
        progress: Told how far it is.

    Raises:
        OptionError: An argument is wrong.
        DataError: No image can be used.
        AttributionError: No method gives a heatmap of this model.
    """
    settings = settings or ExplainSettings()
    if method != "auto":
        METHODS[method]  # a mistyped name is told before anything is loaded
    folder = vacant(Path(out)) if out is not None else None
    run = subject if isinstance(subject, Run) else None
    if isinstance(subject, (str, Path)):
        subject = run = Run.open(subject)
    classifier = classifier_of(subject, device=settings.device)
    chosen_images = _default_images(run) if images is None else images
    pictures, skipped = read_pictures(
        chosen_images, classifier.preprocess, classifier.classes, most=settings.most, seed=seed
    )
    beside: tuple[Picture, ...] = ()
    if run is not None:
        beside = read_labelled(_default_images(run), (), classifier, most=settings.calibration, seed=seed)
    if len(beside) < min(settings.calibration, _FEWEST_CALIBRATION):
        others = [p for p in pictures if p.path not in {b.path for b in beside} or p.path is None]
        beside = (*beside, *others)[: settings.calibration]
    work = _Work(
        classifier=classifier, pictures=pictures, beside=beside, settings=settings, method=method, target=target,
        seed=seed, progress=progress,
    )  # fmt: skip
    found = replace(work.explanations(run), skipped=skipped)
    if folder is not None:
        write_outputs(found, folder, classifier.preprocess)
    return found


def _default_images(run: Run | None) -> Dataset:
    if run is None:
        raise OptionError("No images were named.", remedy="Name image files or a folder of them.")
    dataset = run.dataset()
    for split in ("test", "val", "train"):
        indices = dataset.indices(split)
        if len(indices):
            return dataset.select(indices)
    return dataset


@dataclass(frozen=True, kw_only=True)
class _Work:
    """One call of ``explain``; a method is chosen and judged on the pictures ``beside``."""

    classifier: Classifier
    pictures: tuple[Picture, ...]
    beside: tuple[Picture, ...]
    settings: ExplainSettings
    method: str
    target: str
    seed: int
    progress: ProgressCallback

    def explanations(self, run: Run | None) -> Explanations:
        model, batch = self.classifier.module, self.settings.batch
        inputs = self.classifier.inputs([p.pixels for p in self.pictures])
        scores = self.classifier.scores(inputs, batch)
        wanted = targets(self.classifier, scores, [p.label for p in self.pictures], self.target)
        structure = find_structure(model, inputs)
        choice, fallback = self._choice(structure)
        self.progress("heatmaps", 0, 1)
        made = attribute(
            model, inputs, wanted.weights, method=choice.method, structure=structure, seed=self.seed, batch=batch
        )
        self.progress("heatmaps", 1, 1)
        items = self._scored(inputs, scores, wanted, made.maps, choice)
        items = [replace(item, method=made.method, layer=made.layer) for item in items]
        shortcuts, clusters = self._shortcuts(inputs, scores, structure, choice)
        return Explanations(
            items=self._with_related(items, inputs, scores, run),
            model=self.classifier.name,
            classes=self.classifier.classes,
            choice=choice,
            fallback=fallback,
            shortcuts=shortcuts,
            clusters=clusters,
            seed=self.seed,
        )

    def _choice(self, structure: Structure) -> tuple[Choice, str]:
        inputs = self.classifier.inputs([p.pixels for p in self.beside])
        scores = self.classifier.scores(inputs, self.settings.batch)
        weights = targets(self.classifier, scores, [p.label for p in self.beside], self.target).weights
        if len(inputs) < 2:
            # One image has no other image's map to compare with: its mirror image stands in.
            inputs, weights = torch.cat([inputs, inputs.flip(3)]), weights.repeat(2, 1)
        model, name = self.classifier.module, self.classifier.name
        calibration = Calibration(
            inputs=inputs, weights=weights, structure=structure, how=self.settings.deletion, seed=self.seed
        )
        if self.method == "auto":
            choosing = partial(choose, model, calibration, progress=self.progress)
            return remembered(model, calibration, name, choosing), ""
        choice = named(model, calibration, self.method, progress=self.progress)
        obstacle = METHODS[self.method].obstacle(structure) if choice.method != self.method else ""
        return choice, obstacle and f"{self.method}: {obstacle}"

    def _scored(
        self, inputs: Tensor, scores: Tensor, wanted: Targets, maps: Tensor, choice: Choice
    ) -> list[Explanation]:
        gain = relevance_gain(self.classifier.module, inputs, wanted.weights, maps, self.settings.deletion)
        z, p, words = choice.null.z(gain), choice.null.p(gain), badges(gain, choice.null)
        masks: tuple[Mask | None, ...] = (None,) * len(maps)
        if self.settings.masks is not None:
            masks = read_masks(self.settings.masks, self.pictures, self.classifier.preprocess)
        probabilities = scores.softmax(1)
        items = []
        for k, (picture, mask) in enumerate(zip(self.pictures, masks, strict=True)):
            relevance = maps[k].numpy()
            predicted = int(scores[k].argmax())
            score = Score(
                gain=float(gain.value[k]), share=float(gain.share[k]), z=float(z[k]), p=float(p[k]), badge=words[k]
            )
            item = Explanation(
                picture=picture, predicted=predicted, probability=float(probabilities[k, predicted]),
                target=wanted.names[k], map=relevance, score=score, method=choice.method, layer="",
                located=None if mask is None else located(relevance, mask),
            )  # fmt: skip
            items.append(item)
        return items

    def _shortcuts(
        self, inputs: Tensor, scores: Tensor, structure: Structure, choice: Choice
    ) -> tuple[tuple[Shortcut, ...], tuple[MapCluster, ...]]:
        """On the labelled images, from maps for the true class."""
        known = [k for k, p in enumerate(self.pictures) if p.label is not None]
        labels = np.array([self.pictures[k].label for k in known], dtype=np.int64)
        if not self.settings.shortcuts or len(np.unique(labels)) < 2:
            return (), ()
        self.progress("shortcuts", 0, 1)
        some = inputs[known]
        weights = nn.functional.one_hot(torch.from_numpy(labels), scores.shape[1]).float()
        maps = attribute(
            self.classifier.module, some, weights, method=choice.method, structure=structure, seed=self.seed
        ).maps
        evidence = Evidence(inputs=some, labels=labels, maps=maps)
        found = find_shortcuts(self.classifier.module, evidence, seed=self.seed)
        place = np.array(known)
        shortcuts = tuple(replace(s, examples=tuple(int(place[k]) for k in s.examples)) for s in found)
        clusters = tuple(
            replace(c, members=tuple(int(place[k]) for k in c.members))
            for c in map_clusters(maps, labels, seed=self.seed)
        )
        self.progress("shortcuts", 1, 1)
        return shortcuts, clusters

    def _with_related(
        self, items: list[Explanation], inputs: Tensor, scores: Tensor, run: Run | None
    ) -> tuple[Explanation, ...]:
        if run is None or not self.settings.related:
            return tuple(items)
        self.progress("neighbours", 0, 1)
        settings = self.settings
        known = references(
            run, self.pictures, most=settings.references, seed=self.seed, device=settings.device, progress=self.progress
        )
        if known is None:
            return tuple(items)
        found = related(self.classifier, inputs, scores, known, most=settings.related, batch=settings.batch)
        self.progress("neighbours", 1, 1)
        pairs = zip(items, found, strict=True)
        return tuple(replace(item, neighbours=alike, influential=strongest) for item, (alike, strongest) in pairs)
