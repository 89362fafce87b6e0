"""zoo info: the facts on one model."""

from dataclasses import asdict
from typing import Annotated

import typer

from cli.options import Json, Offline


def command(
    model: Annotated[str, typer.Argument(help="A name, an alias such as resnet, hf-hub:owner/name, or a file.")],
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Show what is known of MODEL."""
    from cli.output import print_json, print_table
    from zoo.catalog import card

    facts = asdict(card(model, offline=offline))
    if json:
        print_json(facts)
        return
    flat = {**{k: v for k, v in facts.items() if k != "preprocess"}, **facts["preprocess"]}
    print_table(
        ["fact", "value"], [[name, "not known" if value is None else str(value)] for name, value in flat.items()]
    )
