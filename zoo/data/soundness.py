"""What can be wrong with the labels and splits of a whole data set, whatever it was read from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from zoo.data.dataset import Dataset, Skipped
from zoo.data.names import nearly_equal_names, printable
from zoo.errors import DataError


def sound(dataset: Dataset, *, minimum_classes: int) -> Dataset:
    """The data set with warnings on what looks wrong, without the images that no training can help.

    Raises:
        DataError: It has too few classes, or its splits have none in common.
    """
    _require_classes(dataset, minimum_classes)
    dataset = _without_untrained(dataset)
    counts = Counter(s.label for s in dataset.samples if s.split in (None, "train"))
    warnings = [
        f"The classes {' and '.join(map(repr, names))} have nearly the same name: if they are one, merge their folders "
        "or labels."
        for names in nearly_equal_names(dataset.classes)
    ]
    if single := [name for label, name in enumerate(dataset.classes) if counts[label] == 1]:
        warnings.append(
            f"Only one training image in {_some(single)}: it cannot be learnt and measured as well. Add images."
        )
    return replace(dataset, warnings=(*dataset.warnings, *warnings))


def without_empty_classes(dataset: Dataset) -> Dataset:
    """The data set without classes of which no picture, or none for training, has turned out to be usable.

    For after the pictures were looked at; ``sound`` knows only of their names.
    """
    present = sorted({s.label for s in dataset.samples})
    if len(present) < len(dataset.classes):
        gone = [name for label, name in enumerate(dataset.classes) if label not in set(present)]
        warning = f"No picture of {_some(gone)} can be used: left out as a class. Check its files."
        dataset = replace(_renumbered(dataset, present), warnings=(*dataset.warnings, warning))
    return _without_untrained(dataset)


def _require_classes(dataset: Dataset, minimum_classes: int) -> None:
    present = {s.label for s in dataset.samples}
    if len(present) >= minimum_classes:
        return
    name = printable(dataset.name)
    if not present:
        raise DataError(
            f"{name} holds no picture that can be used ({len(dataset.skipped)} files are left out).",
            remedy="Give a folder with one folder of pictures for each class (DATA/cat/1.jpg).",
        )
    raise DataError(
        f"{name} has {len(present)} class only: {_some(dataset.classes)}. A classifier needs {minimum_classes}.",
        remedy="Put the pictures of each class into a folder of its own (DATA/cat/1.jpg, DATA/dog/1.jpg), "
        "or give the folder that holds the class folders.",
    )


def _without_untrained(dataset: Dataset) -> Dataset:
    """Leaves out the images of classes that have no training image, where training images were named."""
    if not any(s.split == "train" for s in dataset.samples):
        return dataset
    trained = {s.label for s in dataset.samples if s.split in (None, "train")}
    _require_shared_classes(dataset, trained)
    untrained = [name for label, name in enumerate(dataset.classes) if label not in trained]
    if not untrained:
        return dataset
    skipped = [
        Skipped(path=s.path, reason=f"its class {dataset.classes[s.label]!r} has no training image")
        for s in dataset.samples
        if s.label not in trained
    ]
    warning = (
        f"No training image for {_some(untrained)}: its {len(skipped)} images for validation or test are left out. "
        "Check the spelling of its folder or label."
    )
    kept = _renumbered(dataset.without(skipped), sorted(trained))
    return replace(kept, warnings=(*kept.warnings, warning))


def _require_shared_classes(dataset: Dataset, trained: set[int]) -> None:
    for split in ("val", "test"):
        here = {s.label for s in dataset.samples if s.split == split}
        if here and not here & trained:
            raise DataError(
                f"The splits of {printable(dataset.name)} have no class in common: train has "
                f"{_some([dataset.classes[i] for i in sorted(trained)])}, "
                f"{split} has {_some([dataset.classes[i] for i in sorted(here)])}.",
                remedy="Give the classes the same names in every split.",
            )


def _renumbered(dataset: Dataset, labels: Sequence[int]) -> Dataset:
    """The data set with these classes only."""
    index = {label: i for i, label in enumerate(labels)}
    samples = tuple(replace(s, label=index[s.label]) for s in dataset.samples)
    return replace(dataset, samples=samples, classes=tuple(dataset.classes[label] for label in labels))


def _some(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
