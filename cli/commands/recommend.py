"""zoo recommend: which model for these images?"""

from typing import Annotated

import typer

from cli.options import Data, Device, Json, Offline, Seed


def command(
    data: Data,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="A model to try; may be repeated. By default all that need no download."),
    ] = None,
    budget: Annotated[str, typer.Option("--budget", help="Time for looking at the images: 90s, 10m, 1h.")] = "10m",
    seed: Seed = 0,
    device: Device = "auto",
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Rank models for DATA: what they reach on ImageNet, and what a linear probe on their features reaches here.

    The probe is cross-validated; models that it cannot tell apart are said to be tied. Nothing is trained but probes.
    """
    from cli.output import print_json, print_lines, print_table, progress
    from cli.recommendation import as_json, lines, table
    from zoo.recommendation import recommend
    from zoo.settings import parse_time

    seconds = parse_time(budget, "--budget")
    with progress(quiet=json) as report:
        found = recommend(
            data, models=model or (), budget=seconds, seed=seed, device=device, offline=offline, progress=report
        )
    if json:
        print_json(as_json(found, data))
        return
    columns, rows = table(found)
    print_table(columns, rows, right=("ImageNet", "parameters"), narrow="list")
    print_lines(lines(found, data))
