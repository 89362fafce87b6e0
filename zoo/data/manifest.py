"""A list of images in a table: ``path,label[,split][,group]``."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.data.dataset import Dataset, Sample, Skipped, Split
from zoo.data.folder import SPLIT_NAMES
from zoo.data.names import class_name, printable
from zoo.data.paths import decoded, find, relative
from zoo.data.table import Table, read_table
from zoo.errors import DataError

#: Other names that people give the columns, in lower case.
_COLUMNS = {
    "path": (
        "path",
        "file",
        "filename",
        "file_name",
        "filepath",
        "file_path",
        "image",
        "image_path",
        "img",
        "img_path",
    ),
    "label": ("label", "class", "target", "category", "class_name", "label_name"),
    "split": ("split", "subset", "partition"),
    "group": ("group", "group_id"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    path: str
    label: str
    split: Split | None
    group: str | None


def read_manifest(path: Path, *, name: str) -> Dataset:
    """The images that a table lists. Paths are absolute, or relative to the folder that the table lies in.

    Raises:
        DataError: It cannot be read, lacks a column, names an unknown split, or none of its images exists.
    """
    table = read_table(path)
    root = path.resolve().parent
    skipped: list[Skipped] = []
    rows, warnings = _merge(_rows(table, path, str(root), skipped), skipped)
    if not rows:
        raise _nothing_listed(path, len(table.rows), skipped)
    given = any(row.split for row in rows)
    if given and (unnamed := sum(row.split is None for row in rows)):
        warnings.append(f"{unnamed} rows of {printable(path.name)} name no split: they are taken for training.")
    classes = tuple(sorted({row.label for row in rows}))
    index = {label: i for i, label in enumerate(classes)}
    samples = (
        Sample(path=r.path, label=index[r.label], split=r.split or ("train" if given else None), group=r.group)
        for r in rows
    )
    return Dataset(
        root=root,
        samples=tuple(sorted(samples, key=lambda s: s.path)),
        classes=classes,
        skipped=tuple(sorted(skipped, key=lambda s: s.path)),
        name=name,
        given_splits=given,
        warnings=tuple(warnings),
    )


def read_list(path: Path, *, name: str) -> Dataset:
    """The images that a table names in its column ``path``, or a text file line by line; without labels (-1).

    Raises:
        DataError: It cannot be read, or none of its images exists.
    """
    root, skipped, found = path.resolve().parent, list[Skipped](), dict[str, None]()
    written = _listed(path)
    for line in written:
        place, reason = find(str(root), line)
        if reason is None:
            found.setdefault(relative(str(root), place))
        else:
            skipped.append(Skipped(path=line, reason=reason))
    if not found:
        raise _nothing_listed(path, len(written), skipped)
    samples = tuple(Sample(path=place, label=-1) for place in found)
    return Dataset(root=root, samples=samples, classes=(), skipped=tuple(skipped), name=name)


def _listed(path: Path) -> list[str]:
    """The paths in a table, or the lines of a text that has no header."""
    if path.suffix.lower() == ".txt":
        return [line for line in path.read_text("utf-8-sig", "surrogateescape").splitlines() if line.strip()]
    table = read_table(path)
    place = _places(table, path, ("path",))["path"]
    return [_cell(cells, place) for cells in table.rows if _cell(cells, place).strip()]


def _rows(table: Table, source: Path, root: str, skipped: list[Skipped]) -> Iterator[_Row]:
    """The rows that can be used; the others go to ``skipped``."""
    place = _places(table, source)
    for number, cells in enumerate(table.rows, start=2):
        written = _cell(cells, place["path"])
        where = written or f"row {number}"
        if len(cells) != len(table.columns):
            reason: str | None = f"row {number} has {len(cells)} cells, the header {len(table.columns)}"
        elif not written.strip():
            reason = "no path"
        elif not _cell(cells, place["label"]).strip():
            reason = "no label"
        else:
            written, reason = find(root, written)
        if reason is not None:
            skipped.append(Skipped(path=where, reason=reason))
            continue
        yield _Row(
            path=relative(root, written),
            label=class_name(decoded(_cell(cells, place["label"]).strip())),
            split=_split(_cell(cells, place["split"]), number, source),
            group=_cell(cells, place["group"]).strip() or None,
        )


def _places(table: Table, source: Path, required: Sequence[str] = ("path", "label")) -> dict[str, int | None]:
    """Where each column is; the first of its names that is there."""
    written = [column.strip().lower() for column in table.columns]
    places = {
        wanted: next((written.index(n) for n in names if n in written), None) for wanted, names in _COLUMNS.items()
    }
    for wanted in required:
        if places[wanted] is None:
            found = ", ".join(repr(printable(column)) for column in table.columns)
            alike = difflib.get_close_matches(wanted, written, n=1, cutoff=0.5)
            raise DataError(
                f"{printable(str(source))} has no column {wanted!r}. Its columns are: {found}.",
                remedy=f"Rename {alike[0]!r} to {wanted!r}."
                if alike
                else "Its first line must be path,label (split and group may follow).",
            )
    return places


def _cell(cells: Sequence[str], place: int | None) -> str:
    return cells[place] if place is not None and place < len(cells) else ""


def _split(cell: str, number: int, source: Path) -> Split | None:
    word = cell.strip().lower()
    if not word:
        return None
    if word not in SPLIT_NAMES:
        raise DataError(
            f"Row {number} of {printable(str(source))} names an unknown split: {printable(cell)!r}.",
            remedy="Known are train, val and test; leave the column out, and zoo splits the data itself.",
        )
    return SPLIT_NAMES[word]


def _merge(rows: Iterator[_Row], skipped: list[Skipped]) -> tuple[list[_Row], list[str]]:
    """One row a file. Rows that contradict each other are all left out: nobody can tell which is right."""
    merged: dict[str, _Row] = {}
    conflicts: dict[str, str] = {}
    repeated = 0
    for row in rows:
        first = merged.setdefault(row.path, row)
        repeated += first is not row
        if first.label != row.label:
            conflicts[row.path] = f"listed with two labels: {first.label!r} and {row.label!r}"
        elif first.split != row.split:
            conflicts.setdefault(row.path, f"listed in two splits: {first.split or 'none'} and {row.split or 'none'}")
    skipped.extend(Skipped(path=path, reason=reason) for path, reason in conflicts.items())
    warnings = [f"{repeated} rows list a file that an earlier row lists: each file is used once."] if repeated else []
    return [row for path, row in merged.items() if path not in conflicts], warnings


def _nothing_listed(path: Path, count: int, skipped: list[Skipped]) -> DataError:
    where = printable(str(path))
    if not count:
        return DataError(f"{where} lists no image.", remedy="Add one line an image: path,label.")
    first = skipped[0]
    return DataError(
        f"None of the {count} images that {where} lists can be used; "
        f"the first, {printable(first.path)!r}: {first.reason}.",
        remedy=f"Paths must be absolute or relative to {printable(str(path.resolve().parent))}.",
    )
