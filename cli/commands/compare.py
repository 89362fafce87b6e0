"""zoo compare: runs side by side."""

from typing import Annotated

import typer

from cli.options import Json


def command(
    runs: Annotated[list[str], typer.Argument(help="Two run folders or more, such as runs/*.", metavar="RUN...")],
    json: Json = False,
) -> None:
    """Put runs side by side, and say which differences between them are more than chance."""
    from cli.comparison import as_json, lines, table
    from cli.output import print_json, print_lines, print_table
    from zoo.comparison import compare

    found = compare(runs)
    if json:
        print_json(as_json(found))
        return
    columns, rows = table(found)
    print_table(columns, rows, right=columns[2:], narrow="list")
    print_lines(lines(found))
