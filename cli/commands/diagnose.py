"""``zoo diagnose``: is it the data or the algorithm?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DATA_HELP, Device, Json, Offline, Seed

if TYPE_CHECKING:
    from diagnose.findings import Verdict


def command(
    data: Annotated[
        str | None, typer.Argument(help=f"{DATA_HELP} Or a run folder of ours.", metavar="DATA|RUN", show_default=False)
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option("--predictions", help="CSV of what your model says: path,label,predicted[,prob:CLASS...]."),
    ] = None,
    target: Annotated[float | None, typer.Option("--target", help="The accuracy you need, such as 0.95.")] = None,
    got: Annotated[float | None, typer.Option("--got", help="The accuracy you get, such as 0.71.")] = None,
    log: Annotated[
        Path | None,
        typer.Option("--log", help="The training's log: CSV, TensorBoard events or trainer_state.json."),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="Your trained weights (.safetensors, .pth); needs --model.")
    ] = None,
    model: Annotated[str, typer.Option("--model", help="The architecture of the checkpoint, such as resnet50.")] = "",
    mean: Annotated[
        str | None, typer.Option("--mean", help="What you subtract, pixel / 255: 0.5 or 0.485,0.456,0.406.")
    ] = None,
    std: Annotated[str | None, typer.Option("--std", help="What you divide by, likewise.")] = None,
    size: Annotated[int | None, typer.Option("--size", help="Side of the pictures you feed in, pixels.", min=1)] = None,
    algorithm: Annotated[
        Path | None,
        typer.Option("--algorithm", help="Your Python file. It is run, in a process of its own, on copies."),
    ] = None,
    shortcuts: Annotated[
        Path | None, typer.Option("--shortcuts", help="The shortcuts.json that zoo explain wrote of your model.")
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(
            "--command", help='Your training: "python train.py --data {data} --out {out}". It is run, on copies.'
        ),
    ] = None,
    confirm: Annotated[
        bool,
        typer.Option("--confirm", help="With --algorithm: also run a copy of your file with the edit that mends it."),
    ] = False,
    init: Annotated[
        Path | None, typer.Option("--init", help="Write a commented algorithm file to fill in, and stop.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", help="Time for the experiments beyond the pass: 30s, 5m, 1h.")
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="Fine-tune a reference where the probe is too weak; a --budget of 3m implies it."),
    ] = False,
    report: Annotated[Path | None, typer.Option("--report", help="Write a page with the images to this file.")] = None,
    review: Annotated[
        Path | None, typer.Option("--review", help="Write a page with the 50 most useful images to judge yourself.")
    ] = None,
    answers: Annotated[Path | None, typer.Option("--answers", help="The answers saved from that page.")] = None,
    fix: Annotated[
        Path | None, typer.Option("--fix", help="Write a cleaned list (CSV) of the images; no image is touched.")
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    offline: Offline = False,
    json_: Json = False,
) -> None:
    """Is it the data or the algorithm? Runs a known-good model on your data and says what stops it.

    Exit status: 0 nothing wrong, 3 the data, 4 the algorithm, 5 both, 6 cannot tell; 1 and 2 are errors.
    """
    from dataclasses import replace

    from cli.output import print_json, progress, say
    from diagnose.diagnosis import Options, diagnose_fully
    from diagnose.ladder.climb import Terms
    from diagnose.report import as_json, exit_status, text
    from diagnose.review import read_answers, with_answers
    from diagnose.submission import Checkpoint, Submission, per_channel
    from zoo.errors import OptionError
    from zoo.request import new_file
    from zoo.settings import parse_time

    judged = {} if answers is None else read_answers(answers)
    if init is not None:
        from diagnose.submission import write_template

        write_template(init)
        say(f"Fill in {init}, then run: zoo diagnose DATA --algorithm {init}")
        return
    if data is None:
        raise OptionError("DATA is missing.", remedy="For example: zoo diagnose my_data/")
    for written in filter(None, (report, review, fix)):
        new_file(written)
    options = Options(
        budget=None if budget is None else parse_time(budget, "--budget"),
        full=full,
        terms=Terms(confirm=confirm),
        submission=Submission(
            log=log,
            checkpoint=None
            if checkpoint is None
            else Checkpoint(
                path=checkpoint,
                model=model,
                mean=per_channel(mean, option="--mean"),
                std=per_channel(std, option="--std"),
                size=size,
            ),
            command=command,
            algorithm=algorithm,
            shortcuts=shortcuts,
        ),
    )
    with progress(quiet=json_) as tell:
        diagnosis = diagnose_fully(
            data,
            predictions=predictions,
            target=target,
            got=got,
            options=options,
            seed=seed,
            device=device,
            offline=offline,
            progress=tell,
        )
    diagnosis = replace(diagnosis, verdict=with_answers(diagnosis.verdict, judged))
    if json_:
        print_json(as_json(diagnosis.verdict))
    else:
        typer.echo(text(diagnosis.verdict), nl=False)
    if report is not None:
        from diagnose.pages import write_report

        say(f"The report: {write_report(diagnosis, report)}")
    if review is not None:
        from diagnose.pages import write_review

        say(f"To review: {write_review(diagnosis, review)}")
    if fix is not None and diagnosis.context is not None:
        from diagnose.manifest import write_manifest

        say(f"The cleaned list: {write_manifest(diagnosis.context, diagnosis.verdict, fix)}")
    if not json_ and report is None and review is None and _has_pictures(diagnosis.verdict):
        say("The same with its pictures: --report report.html; a page to judge them on: --review review.html")
    raise typer.Exit(exit_status(diagnosis.verdict))


def _has_pictures(verdict: Verdict) -> bool:
    return any(finding.examples for finding in (*verdict.causes, *verdict.remarks))
