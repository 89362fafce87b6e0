"""Hugging Face data sets, from the hub or a folder: their pictures become files in the cache, once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from zoo.data.dataset import Dataset, Sample, Skipped, Split
from zoo.data.decode import UnusableImage
from zoo.data.files import read_file
from zoo.data.folder import SPLIT_NAMES
from zoo.data.formats import HEAD, sniff
from zoo.data.huggingface_load import load
from zoo.data.materialise import INDEX, once
from zoo.data.names import class_name, printable
from zoo.errors import DataError

_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif"}
_LABELS = ("label", "labels", "fine_label", "class", "target")
_FORMAT = 1  # of what is written below; part of the key


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Which columns hold the picture and its label, and the names of the classes where they are numbered."""

    image: str
    label: str
    names: tuple[str, ...] | None


def read_huggingface(source: str, *, offline: bool) -> Dataset:
    """The images of ``name[:config]`` on the hub, or of a folder in any layout that the package ``datasets`` knows.

    The splits are those of the data set. What is cached is used as it is, without asking the hub.

    Args:
        source: ``name``, ``owner/name`` (``:config`` may follow), or a folder.
        offline: Make no network call: use what ``datasets`` has cached.

    Raises:
        DataError: It has no column of images or of labels.
        HubError: It cannot be had.
        DependencyError: ``datasets`` is not installed.
    """
    if not source:
        raise DataError("hf: lacks a name.", remedy="Write hf:NAME, or hf:FOLDER for a data set on this disk.")
    parts = load(source, offline=offline)
    name = Path(source).name if Path(source).is_dir() else source.rpartition("/")[2].replace(":", "-")
    columns = _columns(next(iter(parts.values())), source)
    key = sha256(repr([_FORMAT, *((k, p._fingerprint, len(p)) for k, p in parts.items())]).encode()).hexdigest()  # noqa: SLF001
    folder = once("hf", key, lambda part: _write(parts, columns, part))
    return _dataset(folder, printable(name))


def _columns(part: Any, source: str) -> _Columns:
    import datasets

    kinds = dict(part.features)
    images = [n for n, kind in kinds.items() if isinstance(kind, datasets.Image)]
    numbered = [n for n, kind in kinds.items() if isinstance(kind, datasets.ClassLabel)]
    scalars = [n for n, kind in kinds.items() if isinstance(kind, datasets.Value) and kind.dtype != "binary"]
    label = next((n for n in _LABELS if n in numbered), None) or next(iter(numbered), None)
    label = label or next((n for n in _LABELS if n in scalars), None)
    if not images or label is None:
        raise DataError(
            f"The data set {printable(source)!r} has no column of {'labels' if images else 'images'}. "
            f"Its columns are: {', '.join(f'{n} ({type(kind).__name__})' for n, kind in kinds.items())}.",
            remedy="It needs a column of images, and one called label.",
        )
    names = tuple(class_name(n) for n in kinds[label].names) if label in numbered else None
    return _Columns(image="image" if "image" in images else images[0], label=label, names=names)


def _write(parts: dict[str, Any], columns: _Columns, folder: Path) -> None:
    """Each picture as a file with the bytes it is stored with, and ``index.json`` beside them."""
    import datasets

    index: list[tuple[str, str]] = []
    skipped: list[tuple[str, str]] = []
    for name, part in parts.items():
        (folder / name).mkdir()
        stored = part.select_columns([columns.image, columns.label]).cast_column(
            columns.image, datasets.Image(decode=False)
        )
        for number, row in enumerate(stored):
            place = f"{name}/{number:08d}"
            label = _label(row[columns.label], columns.names)
            if label is None:
                skipped.append((place, "no label"))
                continue
            try:
                data = _bytes(row[columns.image])
            except UnusableImage as error:
                skipped.append((place, error.reason))
                continue
            path = place + _SUFFIXES.get(sniff(data[:HEAD]) or "", "")
            (folder / path).write_bytes(data)
            index.append((path, label))
    (folder / INDEX).write_text(json.dumps({"samples": index, "skipped": skipped}), "utf-8")


def _label(value: object, names: tuple[str, ...] | None) -> str | None:
    """The name of the class; None where there is none, as in the test parts of many data sets (-1)."""
    if value is None or value == "":
        return None
    if names is None:
        return class_name(str(value))
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else None


def _bytes(picture: dict[str, Any] | None) -> bytes:
    """The stored bytes, from the data set itself or from the file that it names.

    Raises:
        UnusableImage: There are none, with the reason.
    """
    if picture and picture.get("bytes"):
        return bytes(picture["bytes"])
    if picture and picture.get("path"):
        return read_file(picture["path"])
    raise UnusableImage("no picture in this row")


def _dataset(folder: Path, name: str) -> Dataset:
    index = json.loads((folder / INDEX).read_text("utf-8"))
    listed = [(path, path.partition("/")[0], label) for path, label in index["samples"]]
    splits: dict[str, Split | None] = {part: SPLIT_NAMES.get(part.lower()) for _, part, _ in listed}
    named = any(splits.values())
    skipped = [Skipped(path=path, reason=reason) for path, reason in index["skipped"]]
    if named:
        skipped += [
            Skipped(path=path, reason=f"the part {part!r} is none of the splits")
            for path, part, _ in listed
            if splits[part] is None
        ]
        listed = [entry for entry in listed if splits[entry[1]] is not None]
    classes = tuple(sorted({label for _, _, label in listed}))
    number = {label: i for i, label in enumerate(classes)}
    samples = (Sample(path=path, label=number[label], split=splits[part]) for path, part, label in listed)
    return Dataset(
        root=folder,
        samples=tuple(sorted(samples, key=lambda s: s.path)),
        classes=classes,
        skipped=tuple(skipped),
        name=name,
        given_splits=named,
    )
