"""zoo info: the facts on one model."""

from typing import Annotated

import typer

from cli.options import Json, Offline


def command(
    model: Annotated[
        str,
        typer.Argument(
            help="A name, an alias, hf-hub:owner/name, a folder, or architecture@weights-file.", metavar="MODEL"
        ),
    ],
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Show the facts on MODEL: its size, its input, the licence of its weights, where they are."""
    from dataclasses import replace

    from cli.cards import card_as_json, facts
    from cli.output import print_json, say
    from zoo.catalog import card, resolve
    from zoo.location import location

    found = card(model, offline=offline)
    if found.parameters is None:
        from zoo.weights import parameters  # builds the model

        found = replace(found, parameters=parameters(found))
    where = location(found)
    if json:
        print_json({**card_as_json(found), "file": str(where) if where else None})
        return
    if resolve(model) != model:
        say(f"{model} -> {found.name}")
    for name, value in facts(found, where):
        typer.echo(f"{name:24}{value}")
