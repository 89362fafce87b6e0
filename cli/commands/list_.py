"""zoo list: what models there are."""

from typing import Annotated

import typer

from cli.options import Json


def command(
    pattern: Annotated[str, typer.Argument(help="A glob such as 'convnext*', or a name.", metavar="[GLOB]")] = "*",
    bundled: Annotated[bool, typer.Option("--bundled", help="Only those whose weights came with a package.")] = False,
    cached: Annotated[bool, typer.Option("--cached", help="Only those that need no network.")] = False,
    json: Json = False,
) -> None:
    """List the models of timm, torchvision and the zoo itself."""
    from cli.output import print_json, print_table
    from zoo.catalog import cards

    chosen = [c for c in cards(pattern) if (not bundled or c.source == "bundled") and (not cached or c.cached)]
    if json:
        print_json(
            [
                {"name": c.name, "source": c.source, "parameters": c.parameters, "license": c.license,
                 "accuracy": c.accuracy, "cached": c.cached}
                for c in chosen
            ]
        )  # fmt: skip
        return
    rows = [
        [
            c.name,
            c.source,
            f"{c.parameters / 1e6:.1f}M" if c.parameters else "",
            f"{c.accuracy:.1%}" if c.accuracy else "",
            c.license or "",
            "yes" if c.cached else "",
        ]
        for c in chosen
    ]
    print_table(
        ["name", "source", "parameters", "ImageNet", "licence", "cached"], rows, right=["parameters", "ImageNet"]
    )
