"""``zoo checks``: what zoo diagnose looks for."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import Json


def command(
    name: Annotated[str | None, typer.Argument(help="A check to explain; all are listed without it.")] = None,
    json_: Json = False,
) -> None:
    """List the checks of zoo diagnose, or explain one: what it does, its thresholds, its known problems."""
    from cli.output import print_json, print_table
    from diagnose.catalogue import all_checks, describe, explain

    if name is not None:
        check = explain(name)
        if json_:
            print_json(describe(check))
        else:
            typer.echo(check.text, nl=False)
        return
    entries = all_checks()
    if json_:
        print_json([describe(entry) for entry in entries])
        return
    rows = [(entry.name, entry.side, entry.cost, entry.needs, entry.title) for entry in entries]
    print_table(("check", "side", "cost", "needs", "what it finds"), rows)
