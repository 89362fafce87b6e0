"""zoo doctor: is everything well here?"""

from typing import Annotated

import typer

from cli.options import Json, Offline


def command(
    size: Annotated[
        str | None,
        typer.Argument(help="With --prune: how much to keep, such as 500M; 5G by default.", metavar="[SIZE]"),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Shrink what is stored of images to SIZE; what was used last stays.")
    ] = False,
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Look at this machine, the caches, the models at hand and the hub, and say how to mend what is wrong."""
    from cli.output import print_json, print_lines
    from zoo.errors import OptionError

    if size is not None and not prune:
        raise OptionError(
            f"{size!r} is only understood with --prune.", remedy=f"For example: zoo doctor --prune {size}"
        )
    if prune:
        from zoo.caches import parse_size
        from zoo.caches import prune as shrink

        removed = shrink(parse_size(size or "5G"))
        from cli.health import pruned  # brings torch

        if json:
            print_json({"removed": [{"folder": str(table.folder), "size": table.size} for table in removed]})
        else:
            print_lines(pruned(removed))
        return
    from cli.health import as_json, lines
    from explain.memory import describe
    from zoo.doctor import examine

    found, chosen = examine(offline=offline), describe()
    print_json(as_json(found, chosen)) if json else print_lines(lines(found, chosen))
