"""zoo evaluate: score a run."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.options import Device, Json, Offline


def command(
    run: Annotated[str, typer.Argument(help="A run folder, such as runs/latest.", metavar="RUN")],
    data: Annotated[
        str | None, typer.Argument(help="New labelled images; without them the run's own figures.", metavar="DATA")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the predictions to this CSV file.")] = None,
    device: Device = "auto",
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Score RUN on the labelled images in DATA."""
    from cli.output import print_json, progress, say
    from cli.runs import check_scored, print_run, run_as_json
    from zoo import device_name
    from zoo.evaluation import evaluate
    from zoo.request import new_file
    from zoo.run import Run

    opened = Run.open(run)
    device_name.parse(device)
    if data is None:
        check_scored(opened)
        print_json(run_as_json(opened)) if json else print_run(opened)
        return
    if out is not None:
        new_file(out)
    with progress(quiet=json) as report:
        found = evaluate(opened, data, device=device, offline=offline, progress=report)
    if out is not None:
        found.predictions.write(out)
    figures = found.predictions.scores()
    if json:
        skipped = [{"path": s.path, "reason": s.reason} for s in found.skipped]
        print_json(
            {
                "run": str(opened.path),
                "data": data,
                "scores": asdict(figures),
                "trained_on": found.trained_on,
                "skipped": skipped,
            }
        )
        return
    for s in found.skipped[:5]:
        say(f"skipped {s.path}: {s.reason}")
    if found.trained_on:
        say(f"{found.trained_on} of these {figures.count} images trained the run: the figures flatter it.")
    low, high = figures.interval
    typer.echo(f"accuracy {figures.accuracy:.1%}  (95 % interval {low:.1%} to {high:.1%}, {figures.count} images)")
    typer.echo(f"balanced accuracy {figures.balanced_accuracy:.1%}, calibration error {figures.calibration_error:.1%}")
