"""README.md of a run: a model card that the Hugging Face Hub accepts. Written last, so it marks a finished run."""

from __future__ import annotations

import yaml

from zoo.files import write_text
from zoo.job import read_rows
from zoo.run import Run


def write_model_card(run: Run, *, license: str | None) -> None:  # noqa: A002 - the Hub's word for it
    """Write the card.

    Args:
        run: With its predictions written.
        license: Of the pretrained weights, where known.
    """
    figures = {s: run.predictions(s).scores() for s in ("test", "val") if (run.path / f"predictions-{s}.csv").exists()}
    front = {
        "library_name": "timm",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "zoovet"],
        **({"license": license} if license else {}),
        "base_model": run.config.model,
        "model-index": [
            {
                "name": run.path.name,
                "results": [
                    {
                        "task": {"type": "image-classification"},
                        "dataset": {"name": run.dataset().name, "type": "imagefolder", "split": split},
                        "metrics": [{"type": "accuracy", "value": round(f.accuracy, 4)}],
                    }
                    for split, f in figures.items()
                ],
            }
        ],
    }
    lines = [f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---", f"# {run.path.name}", ""]
    lines += [f"`{run.config.model}`, {run.config.settings.recipe}, {len(run.classes)} classes.", ""]
    lines += ["| split | images | accuracy | 95 % interval | balanced accuracy |", "|---|---|---|---|---|"]
    lines += [
        f"| {split} | {f.count} | {f.accuracy:.3f} | {f.interval[0]:.3f} to {f.interval[1]:.3f} "
        f"| {f.balanced_accuracy:.3f} |"
        for split, f in figures.items()
    ]
    shipped = next((row.name for row in read_rows(run.path) if row.shipped), "probe")
    lines += [
        "",
        f"The weights are those of: {shipped}. The whole report is in `report.html`.",
        "",
        "```python",
        "import zoo",
    ]
    lines += ['print(zoo.Run.open(".").predict("photo.jpg"))', "```", ""]
    write_text(run.path / "README.md", "\n".join(lines))
