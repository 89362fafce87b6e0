"""zoo demo: handwritten digits, from a folder of images to a report."""

from cli.options import Json, Out


def command(out: Out = None, json: Json = False) -> None:
    """Fine-tune a bundled model on scikit-learn's handwritten digits. Needs no network."""
    from itertools import count
    from pathlib import Path

    import zoo
    from cli.output import print_json, progress, say
    from cli.runs import print_run, run_as_json
    from zoo.demo import write_digits
    from zoo.request import vacant

    names = ("demo" if number == 1 else f"demo-{number}" for number in count(1))
    folder = vacant(out or next(path for path in map(Path, names) if not path.exists()))
    data = write_digits(folder / "digits")
    say(f"wrote handwritten digits to {data}")
    with progress(quiet=json) as report:
        run = zoo.finetune("efficientnet_lite0", data, out=folder / "run", offline=True, progress=report, say=say)
    print_json(run_as_json(run)) if json else print_run(run)
