"""zoo resume: go on with a run that was stopped."""

from typing import Annotated

import typer

from cli.options import Device, Json, Offline


def command(
    run: Annotated[str, typer.Argument(help="A run folder, such as runs/latest.", metavar="RUN")],
    epochs: Annotated[int | None, typer.Option("--epochs", help="Total epochs, where they are to be more.")] = None,
    device: Device = "auto",
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Go on with RUN as if it had never stopped."""
    from cli.output import print_json, progress, say
    from cli.runs import print_run, run_as_json
    from zoo.finetuning import resume

    with progress(quiet=json) as report:
        done = resume(run, epochs=epochs, device=device, offline=offline, progress=report, say=say)
    print_json(run_as_json(done)) if json else print_run(done)
