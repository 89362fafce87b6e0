"""zoo list: the models there are."""

from enum import StrEnum
from typing import Annotated

import typer

from cli.options import Json


class Order(StrEnum):
    """What the list is sorted by: names, fewest parameters first, or highest ImageNet accuracy first."""

    NAME = "name"
    PARAMS = "params"
    ACCURACY = "accuracy"


def command(
    pattern: Annotated[str, typer.Argument(metavar="[GLOB]", help="A name, or a pattern such as 'resnet*'.")] = "*",
    bundled: Annotated[
        bool, typer.Option("--bundled", help="Only models whose weights lie in an installed package.")
    ] = False,
    cached: Annotated[bool, typer.Option("--cached", help="Only models that need no network here and now.")] = False,
    max_params: Annotated[str | None, typer.Option("--max-params", help="At most so many parameters: 30M.")] = None,
    license_: Annotated[
        str | None, typer.Option("--license", help="Licence of the weights, a pattern: 'apache*'; 'unknown' too.")
    ] = None,
    sort: Annotated[Order, typer.Option("--sort", help="By what.")] = Order.NAME,
    json: Json = False,
) -> None:
    """List the models of the zoo: built in, timm's and torchvision's.

    Parameters count the pretrained head. ImageNet top-1 is what the weights' authors publish, often at a larger
    input than the one used here. A question mark means that a fact is not known.
    """
    from cli.cards import card_as_json, here, matching, millions, percent
    from cli.output import print_json, print_table, say
    from zoo.catalog import cards, resolve

    found = matching(cards(pattern), max_params=max_params, license_=license_, order=sort.value)
    found = [card for card in found if not bundled or card.source == "bundled"]
    found = [card for card in found if not cached or card.cached]
    if json:
        print_json([card_as_json(card) for card in found])
        return
    if resolve(pattern) != pattern:
        say(f"{pattern} -> {resolve(pattern)}")
    columns = ("name", "parameters", "input", "top-1", "licence", "here")
    rows = [
        (
            card.name,
            millions(card.parameters),
            "x".join(map(str, card.preprocess.size)),
            "-" if card.source == "zoo" else percent(card.accuracy),
            card.license or ("-" if card.source == "zoo" else "unknown"),
            here(card),
        )
        for card in found
    ]
    print_table(columns, rows, right=("parameters", "input", "top-1"))
    say(f"{len(found)} models" if found else "No model matches. All: zoo list")
