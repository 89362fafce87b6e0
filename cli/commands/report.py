"""zoo report: the page of a run."""

from typing import Annotated

import typer

from cli.options import Json


def command(
    run: Annotated[str, typer.Argument(help="A run folder, such as runs/latest.", metavar="RUN")],
    json: Json = False,
) -> None:
    """Write the report of RUN again from what is in its folder, and print where it is."""
    from cli.output import print_json
    from zoo.report import write_report
    from zoo.run import Run

    page = write_report(Run.open(run))
    print_json({"report": str(page)}) if json else typer.echo(str(page))
