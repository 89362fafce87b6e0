"""``zoo explain``: heatmaps that carry their own score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Device, Json, Seed


def command(
    run: Annotated[str, typer.Argument(help="Folder of a fine-tuning, such as runs/latest.", metavar="RUN")],
    images: Annotated[
        list[str] | None,
        typer.Argument(help="Image files or a folder; the run's held-out images by default.", metavar="IMAGES"),
    ] = None,
    method: Annotated[str, typer.Option(help="auto measures and chooses; or hirescam, legrad, gae, ...")] = "auto",
    target: Annotated[
        str, typer.Option(help="pred, true, contrast (why this class, not the true one), or a class.")
    ] = "pred",
    n: Annotated[int, typer.Option("--n", help="Most images to explain.", min=1)] = 64,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the result. Default: RUN/explain-N.")] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Folder of masks or VOC files, or a COCO file: scores maps on the object.")
    ] = None,
    device: Device = "auto",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Show why a model decided so, and how far each picture of it may be believed."""
    from cli.output import print_json, print_table, progress, say
    from explain.arguments import check_arguments
    from zoo import device_name
    from zoo.run import Run

    opened = Run.open(run)
    device_name.parse(device)
    check_arguments(method=method, target=target, classes=opened.classes, images=images or (), out=out)
    from explain.claims import Level
    from explain.outputs import file_stem, manifest
    from explain.workflow import ExplainSettings, explain

    folder = out or _next_folder(opened.path)
    chosen = _one_source(images)
    with progress(quiet=as_json) as report:
        found = explain(
            opened,
            chosen,
            method=method,
            target=target,
            out=folder,
            seed=seed,
            settings=ExplainSettings(most=n, masks=masks, device=device),
            progress=report,
        )
    if as_json:
        stems = [file_stem(k, e.picture.name) for k, e in enumerate(found)]
        print_json(manifest(found, stems, opened.preprocess))
        return
    rows = [
        [e.picture.name, found.class_name(e.predicted), f"{e.probability:.0%}", e.score.badge.value, f"{e.score.z:.1f}"]
        for e in found
    ]
    print_table(("image", "predicted", "probability", "badge", "z"), rows, right=("probability", "z"))
    for skipped in found.skipped:
        say(f"Skipped {skipped.path}: {skipped.reason}.")
    if not found.choice.gate.passed:
        say(f"The method {found.choice.method} fails the sanity gate on this model: believe its maps with care.")
    confirmed = [s for s in found.shortcuts if s.level is Level.CONFIRMED]
    for shortcut in confirmed:
        say(f"Shortcut: the {shortcut.region} decides for {found.class_name(shortcut.label)!r}.")
    say(f"Report: {folder / 'report.html'}")


def _next_folder(run: Path) -> Path:
    number = 1
    while (run / f"explain-{number}").exists():
        number += 1
    return run / f"explain-{number}"


def _one_source(images: list[str] | None) -> list[str] | str | None:
    """A folder alone keeps its sub-folders' names as labels; several files are a list."""
    if not images:
        return None
    return images[0] if len(images) == 1 else images
