"""What the commands share for printing: data on stdout, the rest on stderr, colours and progress only on a terminal."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from rich.console import Console

from zoo.progress import ProgressCallback, silent


def print_json(value: Any) -> None:
    """One JSON document on stdout, UTF-8, keys in their given order."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def say(text: str) -> None:
    """A line for the person, on stderr."""
    Console(stderr=True, highlight=False).print(text, markup=False, soft_wrap=True)


def print_lines(lines: Sequence[str]) -> None:
    """Lines on stdout; on a terminal, long ones are wrapped under their own beginning, names and commands unbroken."""
    console = Console(highlight=False)
    for line in lines:
        if not console.is_terminal or len(line) <= console.width:
            sys.stdout.write(line + "\n")
            continue
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        wrapped = textwrap.wrap(
            line, console.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        sys.stdout.write("\n".join(wrapped) + "\n")


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    narrow: Literal["fold", "list"] = "fold",
) -> None:
    """A table on stdout; plain, tab-separated lines where stdout is not a terminal.

    Args:
        columns: Their titles.
        rows: One text a column.
        right: Titles of the columns that are set flush right.
        narrow: What to do on a terminal too narrow for it: fold its cells, or list each row, one line a column.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        for row in (columns, *rows):
            sys.stdout.write("\t".join(row) + "\n")
        return
    widths = [max(len(row[i]) for row in (columns, *rows)) for i in range(len(columns))]
    if narrow == "list" and sum(widths) + 2 * len(widths) > console.width:
        for row in rows:
            console.print(row[0], markup=False, style="bold", soft_wrap=True)
            for column, text in zip(columns[1:], row[1:], strict=True):
                console.print(f"  {column:{max(map(len, columns[1:]))}}  {text}", markup=False, soft_wrap=True)
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table, markup=False)


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[ProgressCallback]:
    """A progress bar with an ETA on stderr; silent where stderr is not a terminal or ``quiet`` is set."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield silent
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield update
