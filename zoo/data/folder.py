"""An image folder: ``DATA/class/*``, or with ``train/ val/ test/`` in between. Lists it; opens no picture."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from zoo.data.dataset import Dataset, Sample, Skipped, Split
from zoo.data.files import os_reason
from zoo.data.formats import HEAD, Kind, kind_of, other_reason, sniff
from zoo.data.names import class_name, printable
from zoo.errors import DataError

#: What people call the splits, in lower case.
SPLIT_NAMES: dict[str, Split] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}

_NO_CLASS = "it lies in no class folder"


@dataclass
class _Listing:
    """What is found on the way.

    Attributes:
        shown: What the person calls the folder, for messages.
        found: Path, class name and split of each picture.
    """

    shown: str
    found: list[tuple[str, str, Split | None]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_folder(root: Path, *, name: str, shown: str | None = None) -> Dataset:
    """The pictures below ``root``, labelled by the folders they lie in.

    Args:
        root: The folder.
        name: The data set's name.
        shown: What messages call the folder; its path if not given.

    Raises:
        DataError: There is nothing in it, or no class folders.
    """
    listing = _Listing(printable(shown or str(root)))
    root, folders = _descend(root, listing)
    splits = _split_folders(root, folders, listing)
    if splits is None:
        _list_classes(root, "", None, listing)
    else:
        _list_splits(root, splits, listing)
    if not listing.found:
        raise _nothing_in(root, listing)
    return _dataset(root, name, listing)


def read_flat(root: Path, *, name: str) -> Dataset:
    """All pictures below ``root``, in whatever folders, without labels (-1)."""
    listing = _Listing(printable(str(root)))
    samples = tuple(Sample(path=path, label=-1) for path in sorted(_files(root, "", listing)))
    if not samples:
        raise _nothing_in(root, listing)
    return Dataset(root=root, samples=samples, classes=(), skipped=tuple(listing.skipped), name=name)


def _list_splits(root: Path, splits: dict[str, Split], listing: _Listing) -> None:
    for entry in _scan(root, "", listing):
        if _is_folder(entry) and entry.name in splits:
            _list_classes(root, f"{entry.name}/", splits[entry.name], listing)
        elif _is_folder(entry):
            count = sum(1 for _ in _files(root, f"{entry.name}/", _Listing(listing.shown)))
            listing.warnings.append(
                f"The folder {printable(entry.name)!r} beside {' and '.join(sorted(splits))} is none of the splits: "
                f"its {count} files are left out."
            )
        else:
            _note_loose(root, "", entry, listing)


def _list_classes(root: Path, prefix: str, split: Split | None, listing: _Listing) -> None:
    """The class folders below ``root/prefix``."""
    for entry in _scan(root, prefix, listing):
        if not _is_folder(entry):
            _note_loose(root, prefix, entry, listing)
            continue
        label, before = class_name(entry.name), len(listing.found)
        listing.found.extend((path, label, split) for path in _files(root, f"{prefix}{entry.name}/", listing))
        if len(listing.found) == before:
            listing.warnings.append(f"The folder {printable(prefix + entry.name)!r} holds no picture: it is no class.")


def _note_loose(root: Path, prefix: str, entry: os.DirEntry[str], listing: _Listing) -> None:
    """A file where only folders are expected: a picture is worth a word, a README is not."""
    if kind_of(entry.name) in (Kind.IMAGE, Kind.UNKNOWN) and _is_picture(
        root, f"{prefix}{entry.name}", entry, _Listing(listing.shown)
    ):
        listing.skipped.append(Skipped(path=f"{prefix}{entry.name}", reason=_NO_CLASS))


def _files(root: Path, prefix: str, listing: _Listing) -> Iterator[str]:
    """Paths of the pictures anywhere below ``root/prefix``; each folder once, however links lead to it."""
    stack, seen = [prefix], _ancestors(root, prefix)
    while stack:
        current = stack.pop()
        if _seen_before(root / current, seen):
            listing.skipped.append(Skipped(path=current.rstrip("/"), reason="a link to a folder that is read already"))
            continue
        folders = []
        for entry in _scan(root, current, listing):
            path = f"{current}{entry.name}"
            if _is_folder(entry):
                folders.append((entry.is_symlink(), f"{path}/"))
            elif _is_picture(root, path, entry, listing):
                yield path
        # The folder itself before a link to it: which of them is read must not depend on the disk's order.
        stack.extend(path for _, path in sorted(folders, reverse=True))


def _ancestors(root: Path, prefix: str) -> set[tuple[int, int]]:
    """The folders that ``root/prefix`` lies in: a link back to one of them is a loop."""
    seen = set[tuple[int, int]]()
    above = [root.resolve(), (root / prefix).parent] if prefix else []
    for folder in (*above, *root.resolve().parents):
        _seen_before(folder, seen)
    return seen


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _seen_before(folder: Path, seen: set[tuple[int, int]]) -> bool:
    try:
        status = folder.stat()
    except OSError:
        return False
    identity = (status.st_dev, status.st_ino)
    if identity in seen:
        return True
    seen.add(identity)
    return False


def _scan(root: Path, prefix: str, listing: _Listing) -> list[os.DirEntry[str]]:
    """What lies in ``root/prefix``, by name, without clutter. A folder that cannot be read is noted."""
    try:
        with os.scandir(root / prefix) as entries:
            return sorted((e for e in entries if kind_of(e.name) is not Kind.CLUTTER), key=lambda e: e.name)
    except OSError as error:
        if not prefix:
            raise DataError(
                f"The folder {listing.shown} cannot be read: {os_reason(error)}.",
                remedy="Check its permissions (ls -ld), or give another folder.",
            ) from error
        listing.skipped.append(Skipped(path=prefix.rstrip("/"), reason=f"a folder: {os_reason(error)}"))
        return []


def _is_picture(root: Path, path: str, entry: os.DirEntry[str], listing: _Listing) -> bool:
    """Whether to try the file as a picture; notes why not. Only a name that tells nothing makes it look inside."""
    reason: str | None = None
    kind = kind_of(entry.name)
    try:
        if not entry.is_file():
            reason = _irregular(entry)
        elif kind is Kind.OTHER:
            reason = other_reason(entry.name)
        elif kind is Kind.UNKNOWN and sniff(_head(root / path)) is None:
            reason = "not a picture, by its name and by its content"
    except OSError as error:
        reason = os_reason(error)
    if reason is not None:
        listing.skipped.append(Skipped(path=path, reason=reason))
    return reason is None


def _irregular(entry: os.DirEntry[str]) -> str:
    """Why an entry that is neither a file nor a folder cannot be read."""
    try:
        mode = entry.stat().st_mode
    except FileNotFoundError:
        return "a link to a file that is not there"
    except OSError as error:
        return os_reason(error)
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    return f"{kinds.get(stat.S_IFMT(mode), 'something else')}, not a file"


def _head(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        return file.read(HEAD)


def _descend(root: Path, listing: _Listing) -> tuple[Path, list[str]]:
    """Steps into a folder that is alone and holds only folders: an unpacked archive often has such a wrapper."""
    seen = {root.resolve()}
    while True:
        folders, pictures = _contents(root, listing)
        if len(folders) != 1 or pictures or _split_folders(root, folders, listing) is not None:
            return root, folders
        inner = root / folders[0]
        within, pictures = _contents(inner, listing)
        if not within or pictures or inner.resolve() in seen:
            return root, folders
        seen.add(inner.resolve())
        listing.warnings.append(
            f"{listing.shown} holds one folder only, {printable(folders[0])!r}: the folders in it are the classes."
        )
        root = inner


def _contents(root: Path, listing: _Listing) -> tuple[list[str], bool]:
    """The folders in a folder, and whether there are pictures beside them."""
    entries = [(entry.name, _is_folder(entry)) for entry in _scan(root, "", listing)]
    pictures = any(kind_of(name) is Kind.IMAGE for name, is_folder in entries if not is_folder)
    return [name for name, is_folder in entries if is_folder], pictures


def _split_folders(root: Path, folders: list[str], listing: _Listing) -> dict[str, Split] | None:
    """Which of the folders are splits; None where they are classes (a class may be called "train")."""
    splits = {name: SPLIT_NAMES[name.strip().lower()] for name in folders if name.strip().lower() in SPLIT_NAMES}
    if not splits:
        return None
    if len(set(splits.values())) >= 2 or len(splits) == len(folders):
        # Folders of pictures called val and test could be two classes; with class folders in one they are not.
        has_classes = any(_is_folder(e) for name in splits for e in _scan(root, f"{name}/", _Listing(listing.shown)))
        return splits if has_classes or "train" in splits.values() else None
    return None


def _nothing_in(root: Path, listing: _Listing) -> DataError:
    """The error for a folder without one picture in a class folder; says what is there instead."""
    where = listing.shown
    loose = sum(s.reason == _NO_CLASS for s in listing.skipped)
    if loose:
        return DataError(
            f"{where} holds {loose} picture{'s' * (loose > 1)} but no folder for each class.",
            remedy="Put the pictures of each class into a folder with its name (DATA/cat/1.jpg), "
            "or write a CSV file with the columns path,label and give that.",
        )
    tables = [p.name for p in sorted(root.iterdir()) if p.suffix.lower() in (".csv", ".tsv", ".parquet")]
    if tables:
        return DataError(
            f"{where} holds no pictures in class folders, but the table {tables[0]!r}.",
            remedy=f"If it lists the pictures, give it instead: {printable(str(root / tables[0]))}",
        )
    if listing.skipped:
        first = listing.skipped[0]
        return DataError(
            f"{where} holds no picture that can be used: {len(listing.skipped)} files are left out, "
            f"the first, {printable(first.path)!r}, because: {first.reason}.",
            remedy="Give a folder with one folder of pictures for each class (DATA/cat/1.jpg).",
        )
    return DataError(f"{where} is empty.", remedy="Give a folder with one folder of pictures for each class.")


def _dataset(root: Path, name: str, listing: _Listing) -> Dataset:
    classes = tuple(sorted({label for _, label, _ in listing.found}))
    index = {label: i for i, label in enumerate(classes)}
    listing.found.sort(key=lambda item: item[0])
    return Dataset(
        root=root,
        samples=tuple(Sample(path=path, label=index[label], split=split) for path, label, split in listing.found),
        classes=classes,
        skipped=tuple(sorted(listing.skipped, key=lambda s: s.path)),
        name=name,
        given_splits=any(split is not None for _, _, split in listing.found),
        warnings=tuple(listing.warnings),
    )
