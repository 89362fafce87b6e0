"""zoo predict: classify images with a run."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Device, Json


def command(
    run: Annotated[str, typer.Argument(help="A run folder, such as runs/latest.", metavar="RUN")],
    images: Annotated[
        list[str], typer.Argument(help="Images, folders, or text files with one path a line.", metavar="IMAGES")
    ],
    topk: Annotated[int, typer.Option("--topk", help="Classes to name for each image.", min=1)] = 1,
    out: Annotated[Path | None, typer.Option("--out", help="Write all probabilities to this CSV file.")] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Say what is on IMAGES."""
    from cli.output import print_json, print_table, progress, say
    from zoo import device_name
    from zoo.data.names import printable
    from zoo.evaluation import predict
    from zoo.request import new_file
    from zoo.run import Run

    device_name.parse(device)
    if out is not None:
        new_file(out)
    with progress(quiet=json) as report:
        found = predict(Run.open(run), images, device=device, progress=report)
    p = found.predictions
    if out is not None:
        p.write(out)
    order = (-p.probabilities).argsort(axis=1, kind="stable")[:, :topk]
    best = [[(p.classes[j], float(row[j])) for j in top] for top, row in zip(order, p.probabilities, strict=True)]
    if json:
        pictures = [
            {"path": printable(path), "classes": [{"name": name, "probability": share} for name, share in top]}
            for path, top in zip(p.paths, best, strict=True)
        ]
        print_json(
            {"images": pictures, "skipped": [{"path": printable(s.path), "reason": s.reason} for s in found.skipped]}
        )
        return
    for s in found.skipped:
        say(f"skipped {printable(s.path)}: {s.reason}")
    rows = [
        [printable(path), ", ".join(f"{printable(name)} {share:.1%}" for name, share in top)]
        for path, top in zip(p.paths, best, strict=True)
    ]
    print_table(["image", "prediction"], rows)
