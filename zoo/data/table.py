"""A CSV, TSV or Parquet file as rows of text."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.data.files import os_reason
from zoo.data.formats import Kind, kind_of
from zoo.data.names import printable
from zoo.errors import DataError, DependencyError

_DELIMITERS = (",", ";", "\t", "|")
_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns by name, rows of text.

    Attributes:
        columns: As they are written.
        rows: Cells in the order of ``columns``; a row may be too short or too long.
    """

    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]


def read_table(path: Path) -> Table:
    """The table in a file; Parquet where it begins so, else text with a header line.

    The delimiter is the one of ``, ; tab |`` that the header has most of. Text is UTF-8 or has a byte order mark; bytes
    that are not UTF-8 become lone surrogates (PEP 383), so that a name on the disk is still found.

    Raises:
        DataError: It cannot be read.
        DependencyError: It is Parquet, and pyarrow is not installed.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) == b"PAR1":
                return _read_parquet(path)
        return _read_csv(path, path.read_bytes())
    except OSError as error:
        raise DataError(
            f"{printable(str(path))} cannot be read: {os_reason(error)}.", remedy="Check the file and its permissions."
        ) from error


def _read_csv(path: Path, data: bytes) -> Table:
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    text = data.decode(encoding, errors="replace" if encoding == "utf-16" else "surrogateescape")
    if "\0" in text[:4096]:
        raise _no_table(path, "is not a text file")
    header = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        columns = next(reader, [])
        rows = [row for row in reader if any(row)]
    except csv.Error as error:
        raise _no_table(path, f"is not a table: line {reader.line_num}: {error}") from error
    if not columns:
        raise _no_table(path, "is empty")
    if any(kind_of(cell.strip()) is Kind.IMAGE for cell in columns):
        raise _no_table(path, "has no header line")
    return Table(columns=tuple(columns), rows=rows)


def _no_table(path: Path, what: str) -> DataError:
    return DataError(
        f"{printable(str(path))} {what}.",
        remedy="Give a CSV file whose first line is path,label (split and group may follow), then one line an image.",
    )


def _read_parquet(path: Path) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise DependencyError.missing("pyarrow", extra="parquet", purpose="Reading a Parquet file") from None
    try:
        with pq.ParquetFile(path) as file:
            flat = [f.name for f in file.schema_arrow if not pa.types.is_nested(f.type) and not _is_bytes(pa, f.type)]
            if not flat:
                raise DataError(
                    f"{printable(str(path))} has no column of text: it may hold the pictures themselves.",
                    remedy=f"Read it as a Hugging Face data set: hf:{printable(str(path.parent))}",
                )
            table = file.read(columns=flat)
    except (pa.ArrowException, OSError) as error:  # pyarrow reports damage as either
        raise DataError(
            f"{printable(str(path))} is a damaged Parquet file: {printable(str(error))[:200]}.", remedy="Write it anew."
        ) from error
    cells = [[_text(value) for value in column.to_pylist()] for column in table.columns]
    return Table(columns=tuple(flat), rows=list(zip(*cells, strict=True)))


def _is_bytes(pa: Any, kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _text(value: object) -> str:
    """A cell as text; whole numbers without a decimal point, as pandas stores them as floats beside missing ones."""
    if value is None:
        return ""
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        return str(int(value)) if value.is_integer() else str(value)
    return str(value)
