"""zoo finetune: from a folder of images to a model."""

from typing import Annotated

import typer

from cli.options import Data, Device, Json, Offline, Out


def command(
    model: Annotated[
        str, typer.Argument(help="A name, an alias such as resnet, hf-hub:owner/name, or a file.", metavar="MODEL")
    ],
    data: Data,
    out: Out = None,
    full: Annotated[
        bool, typer.Option("--full", help="Train all weights, not only a head; the default on a GPU.")
    ] = False,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the images; implies --full.")] = None,
    time: Annotated[str | None, typer.Option("--time", help="Train this long (10m, 1h); implies --full.")] = None,
    class_weights: Annotated[
        bool, typer.Option("--class-weights", help="Weigh rare classes as much as frequent ones.")
    ] = False,
    seed: Annotated[int | None, typer.Option("--seed", help="Of everything random; 0 by default.")] = None,
    device: Device = "auto",
    config: Annotated[
        str | None, typer.Option("--config", help="Take settings from the config.yaml of another run.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting, as name=value; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and stop.")] = False,
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Fine-tune MODEL on the labelled images in DATA."""
    from cli.choices import choices_from, dry_run_summary
    from cli.output import print_json, progress, say
    from cli.runs import print_run, run_as_json

    choices = choices_from(
        config, set_, full=full, epochs=epochs, time=time, class_weights=class_weights or None, seed=seed
    )
    if dry_run:
        print_json(dry_run_summary(model, data, choices, out=out, device=device, offline=offline))
        return
    import zoo

    with progress(quiet=json) as report:
        run = zoo.finetune(model, data, out=out, device=device, offline=offline, progress=report, say=say, **choices)
    print_json(run_as_json(run)) if json else print_run(run)
