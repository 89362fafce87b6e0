"""Options that several commands share, defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DATA_HELP = "An image folder (DATA/class/*.jpg), a CSV or Parquet manifest (path,label), a zip, or hf:name."

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, and nothing else.")]
Offline = Annotated[bool, typer.Option("--offline", help="Make no network call at all.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.", min=0)]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for the result; must be new or empty.")]
Data = Annotated[
    str,
    typer.Argument(
        help=DATA_HELP,
        metavar="DATA",
        show_default=False,
    ),
]
