"""``read``: whatever a person names as data, as a ``Dataset``."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.data.dataset import Dataset, Sample
from zoo.data.files import os_reason
from zoo.data.folder import read_flat, read_folder
from zoo.data.formats import HEAD, Kind, kind_of, sniff
from zoo.data.names import printable
from zoo.data.soundness import sound
from zoo.errors import DataError

_HUB = "hf:"
_TABLES = (".csv", ".tsv", ".txt", ".parquet")
_KINDS = (
    "zoo reads a folder of class folders (DATA/cat/1.jpg), with train/ val/ test/ in between if you like; "
    "a CSV, TSV or Parquet table with the columns path,label; a zip of such a folder; hf:NAME."
)


def read(source: str | Path, *, offline: bool = False, minimum_classes: int = 2) -> Dataset:
    """The labelled images that ``source`` names. Lists them; decodes none.

    Args:
        source: An image folder (``DATA/class/*``, or with ``train/ val/ test/`` inside), a CSV, TSV or Parquet table
            (``path,label[,split][,group]``), a zip of such a folder, or a Hugging Face data set (``hf:name[:config]``,
            ``hf:FOLDER``, or a folder written by ``save_to_disk``).
        offline: Make no network call.
        minimum_classes: Fewest classes that make sense; 1 to measure a trained model.

    Raises:
        DataError: It is not there, is no known kind, or holds nothing to train with; the message says what to do.
        StorageError: The cache has no room for what is unpacked.
        DependencyError: An optional package is needed.
        HubError: The data set cannot be fetched.
    """
    with _refusals(str(source)):
        dataset = _read(str(source), offline=offline)
    return sound(dataset, minimum_classes=minimum_classes)


def read_unlabelled(source: str | Path) -> Dataset:
    """Pictures to classify: one picture, all below a folder, or those that a list names. Their labels are -1.

    Args:
        source: A picture, a folder in any layout, a table with a column ``path``, or a text file with one path a line
            (absolute, or relative to the file's folder).

    Raises:
        DataError: It is not there, or names no picture.
    """
    with _refusals(str(source)):
        return _read_unlabelled(Path(source).expanduser())


@contextmanager
def _refusals(source: str) -> Iterator[None]:
    """Say in words why the operating system lets nobody look at ``source``."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{printable(source)} cannot be read: {os_reason(error)}.",
            remedy="Check its name, and its permissions and those of the folders above it (ls -ld).",
        ) from error


def _read_unlabelled(path: Path) -> Dataset:
    if path.is_dir():
        return read_flat(path, name=_name(path))
    if not path.is_file():
        raise _no_source(path)
    head = _head(path)
    if sniff(head) or kind_of(path.name) is Kind.IMAGE:
        sample = Sample(path=path.name, label=-1)
        return Dataset(root=path.parent, samples=(sample,), classes=(), name=_name(path))
    if path.suffix.lower() in _TABLES or head.startswith(b"PAR1"):
        from zoo.data.manifest import read_list

        return read_list(path, name=_name(path))
    raise DataError(
        f"{printable(str(path))} is neither a picture nor a list of pictures.",
        remedy="Give a picture, a folder, a text file with one path a line, or a CSV file with a column path.",
    )


def _read(source: str, *, offline: bool) -> Dataset:
    # Each source is imported when it is met: most data is a folder, and that needs neither zipfile nor csv.
    if source.startswith(_HUB):
        from zoo.data.huggingface import read_huggingface

        return read_huggingface(source.removeprefix(_HUB), offline=offline)
    path = Path(source).expanduser()
    if path.is_dir():
        return _read_directory(path, offline=offline)
    if path.is_file():
        return _read_file(path)
    raise _no_source(path)


def _read_directory(path: Path, *, offline: bool) -> Dataset:
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        from zoo.data.huggingface import read_huggingface
        from zoo.data.huggingface_load import is_saved

        if is_saved(path):
            return read_huggingface(str(path), offline=offline)
    return read_folder(path, name=_name(path))


def _read_file(path: Path) -> Dataset:
    from zipfile import is_zipfile

    head = _head(path)
    if path.suffix.lower() in _TABLES or head.startswith(b"PAR1"):
        from zoo.data.manifest import read_manifest

        return read_manifest(path, name=_name(path))
    if path.suffix.lower() == ".zip" or (head.startswith(b"PK") and is_zipfile(path) and not path.suffix):
        from zoo.data.archive import read_zip

        return read_zip(path, name=_name(path))
    raise _unknown_kind(path, head)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def _unknown_kind(path: Path, head: bytes) -> DataError:
    where = printable(str(path))
    if sniff(head):
        return DataError(
            f"{where} is a single picture.",
            remedy="Give the folder that holds the class folders; to classify one picture: zoo predict RUN PICTURE",
        )
    if path.suffix.lower() in (".xlsx", ".xls", ".ods"):
        return DataError(
            f"{where} is a spreadsheet.", remedy="Save it as CSV with the columns path,label and give that."
        )
    if path.suffix.lower() in (".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"):
        return DataError(f"{where} is an archive that zoo does not unpack.", remedy="Unpack it and give the folder.")
    return DataError(f"{where} is no kind of data that zoo knows.", remedy=_KINDS)


def _no_source(path: Path) -> DataError:
    """The error for a name with nothing, or nothing of use, behind it."""
    where = printable(str(path))
    try:
        os.stat(path)  # noqa: PTH116 - tells a missing file from a forbidden one, which Path.exists does not
    except PermissionError:
        return DataError(
            f"No permission to look at {where}.", remedy="Check the permissions of the folders it lies in."
        )
    except (OSError, ValueError):
        return DataError(f"There is no folder or file {where}.", remedy=_nearest(path))
    return DataError(f"{where} is neither a folder nor a regular file.", remedy=_KINDS)


def _nearest(path: Path) -> str:
    """Names beside the missing one that look like it, or how data sets on the hub are named."""
    parent = path.parent
    try:
        beside = [entry.name for entry in os.scandir(parent)]
    except (OSError, ValueError):
        return f"There is no folder {printable(str(parent))} either. {_KINDS}"
    alike = difflib.get_close_matches(path.name, beside, n=3, cutoff=0.6)
    if alike:
        return f"Did you mean {' or '.join(printable(str(parent / name)) for name in alike)}?"
    return "Check the name. A data set on the Hugging Face hub is given as hf:NAME."


def _name(path: Path) -> str:
    resolved = path.resolve()
    return printable(resolved.stem if path.is_file() else resolved.name) or "data"
