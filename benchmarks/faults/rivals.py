"""Other tools on the same cases: what each reports, and how often that makes the right verdict.

    pip install cleanlab[datalab] cleanvision torchtest2 torch-audit
    python -m benchmarks.faults.rivals --out rivals.jsonl --rows faults.jsonl

Tools for data see the cases without training code, tools for code those with it. A tool for data says "data" where a share
of the pictures above a threshold has an issue of a kind; the threshold is the one that serves it best on the development
half. Datalab is given out-of-fold probabilities of our features by logistic regression, and the features. A tool for code
says "algorithm" where a check fails.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faults.registry import Case, cases
from benchmarks.faults.run import BACKBONES, VALIDATION, read_rows, spoilt
from benchmarks.faults.scoring import Scored, score, share
from benchmarks.faults.worlds import world
from zoo.catalog import card
from zoo.data import read
from zoo.features import embed

Issues = dict[str, float]


def datalab(folder: Path) -> Issues:
    """Cleanlab's Datalab with labels, features and out-of-fold probabilities."""
    from cleanlab import Datalab
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = embed(read(folder), [card(BACKBONES[0])])
    features, labels = np.array(found.matrix(BACKBONES[0]), dtype=np.float32), found.dataset.labels
    classes = np.flatnonzero(np.bincount(labels) >= 5)
    kept = np.isin(labels, classes)
    features, labels = features[kept], np.searchsorted(classes, labels[kept])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))
    probabilities = cross_val_predict(model, features, labels, method="predict_proba")
    lab = Datalab({"labels": list(labels)}, label_name="labels", verbosity=0)
    lab.find_issues(features=features, pred_probs=probabilities)
    summary = lab.get_issue_summary()
    return {kind: float(n) / len(labels) for kind, n in zip(summary["issue_type"], summary["num_issues"], strict=True)}


def cleanvision(folder: Path) -> Issues:
    """CleanVision with its default issues."""
    from cleanvision import Imagelab

    lab = Imagelab(data_path=str(folder))
    lab.find_issues(n_jobs=1, verbose=False)
    summary, n = lab.issue_summary, max(1, len(lab.issues))
    return {kind: float(c) / n for kind, c in zip(summary["issue_type"], summary["num_images"], strict=True)}


def torchtest2(parts: dict[str, Any]) -> Issues:
    """torchtest2's check of one batch, the loss and the optimizer included."""
    import torchtest2 as tool

    model, inputs, targets = parts["model"], parts["inputs"], parts["targets"]
    report = tool.check_model(
        model, inputs, targets, loss_fn=parts["loss"], optimizer=parts["optimizer"], frozen=parts["frozen"]
    )
    return {result.name: 1.0 for result in report.failures}


def torch_audit(parts: dict[str, Any]) -> Issues:
    """torch-audit's default rules on the model, the optimizer and a batch; errors and warnings."""
    from torch_audit.api import audit

    batch = (parts["inputs"], parts["targets"])
    result = audit(parts["model"], batch=batch, optimizer=parts["optimizer"], suppress_internal_errors=True)
    return {finding.rule_id: 1.0 for finding in result.findings if str(finding.severity.value) != "INFO"}


FOR_DATA: dict[str, tuple[str, Callable[[Path], Issues]]] = {
    "Datalab": ("cleanlab", datalab),
    "CleanVision": ("cleanvision", cleanvision),
}
FOR_CODE: dict[str, tuple[str, Callable[[dict[str, Any]], Issues]]] = {
    "torchtest2": ("torchtest2", torchtest2),
    "torch-audit": ("torch_audit", torch_audit),
}


def parts_of(path: Path, folder: Path) -> dict[str, Any]:
    """Model, loss, optimizer and one training batch that an algorithm file makes."""
    import torch
    from PIL import Image

    spec = importlib.util.spec_from_file_location("handed_over", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    dataset = read(folder)
    rows = np.random.default_rng(0).permutation(dataset.indices("train"))[:32]
    transform = module.build_transform(train=True)
    inputs = [transform(Image.open(dataset.file(dataset.samples[i])).convert("RGB")) for i in rows]
    torch.manual_seed(0)
    model = module.build_model(len(dataset.classes))
    loss = module.build_loss() if hasattr(module, "build_loss") else torch.nn.CrossEntropyLoss()
    return {
        "model": model,
        "loss": loss,
        "optimizer": module.build_optimizer(model),
        "inputs": torch.stack(inputs),
        "targets": torch.from_numpy(dataset.labels[rows]),
        "frozen": [name for name, p in model.named_parameters() if not p.requires_grad],
    }


def run_case(case: Case) -> list[dict[str, Any]]:
    """One row for each tool."""
    faulty = spoilt(case, world(case.source, case.seed, train=case.train, validation=VALIDATION))
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = faulty.write(Path(scratch) / "pictures")
        given: Any = folder
        tools: dict[str, tuple[str, Callable[..., Issues]]] = {**(FOR_CODE if case.file else FOR_DATA)}
        if case.file:
            path = Path(scratch) / "train.py"
            path.write_text(case.text, encoding="utf-8")
        for name, (package, tool) in tools.items():
            if importlib.util.find_spec(package) is None:
                continue
            start = time.monotonic()
            row = {"case": case.name, "tool": name, "version": version(package.replace("_", "-"))}
            try:
                with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    row["issues"] = tool(parts_of(path, folder) if case.file else given)
            except Exception as error:  # noqa: BLE001 - whatever it dies of, the others go on
                row["error"] = f"{type(error).__name__}: {error}"[:200]
            rows.append({**row, "seconds": round(time.monotonic() - start, 1)})
    return rows


def verdicts(rows: Sequence[dict[str, Any]], scored: Sequence[Scored], *, code: bool) -> list[tuple[Scored, bool]]:
    """Each case with whether the tool's verdict is right, by the limits that serve it best on the development half."""
    found = {row["case"]: row for row in rows}
    judged = [s for s in scored if s.row["case"] in found and s.expected != "remark" and bool(s.row["file"]) == code]
    if code:
        limits: dict[str, float] = {}
        kinds = {kind for row in rows for kind in row.get("issues", {})}
        alarm = {s.row["case"]: "issues" not in found[s.row["case"]] for s in judged}  # it died: the code is broken
        limits = dict.fromkeys(kinds, 0.0)
    else:
        alarm = dict.fromkeys(found, False)
        limits = _limits([(found[s.row["case"]], s) for s in judged if s.row["half"] == "dev"])
    word = "algorithm" if code else "data"

    def says(s: Scored) -> str:
        issues = found[s.row["case"]].get("issues", {})
        raised = alarm[s.row["case"]] or any(issues.get(kind, 0.0) > limit for kind, limit in limits.items())
        return word if raised else "nothing"

    return [(s, says(s) == s.expected) for s in judged]


def _limits(pairs: Sequence[tuple[dict[str, Any], Scored]]) -> dict[str, float]:
    """For each kind of issue the share of pictures from which healthy sets never have it."""
    kinds = {kind for row, _ in pairs for kind in row.get("issues", {})}
    healthy = [row.get("issues", {}) for row, s in pairs if s.expected == "nothing"]
    return {kind: max((issues.get(kind, 0.0) for issues in healthy), default=0.0) for kind in kinds}


def table(rows: Sequence[dict[str, Any]], scored: Sequence[Scored], half: str) -> list[str]:
    """One line a tool: how often it is right, beside the diagnosis on the same cases."""
    lines = ["| tool | right | zoo diagnose on the same cases | cases | died |", "|---|---|---|---|---|"]
    for name in (*FOR_DATA, *FOR_CODE):
        mine = [row for row in rows if row["tool"] == name]
        judged = [(s, right) for s, right in verdicts(mine, scored, code=name in FOR_CODE) if s.row["half"] == half]
        if not judged:
            continue
        died = sum("error" in row for row in mine if row["case"] in {s.row["case"] for s, _ in judged})
        theirs, n = share(right for _, right in judged)
        ours = share(s.right for s, _ in judged)[0]
        lines.append(f"| {name} {mine[0]['version']} | {theirs:.0%} | {ours:.0%} | {n} | {died} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("rivals.jsonl"))
    parser.add_argument("--rows", type=Path, default=Path("faults.jsonl"), help="what benchmarks.faults.run wrote")
    parser.add_argument("--report", action="store_true", help="print the table of what is there")
    options = parser.parse_args()
    os.environ.setdefault("ZOO_CACHE", str(options.rows.resolve().parent / "faults-cache"))
    ours = read_rows(options.rows)
    if options.report:
        scored = score(ours)
        for half in ("dev", "report"):
            print(f"\n## {half}\n\n" + "\n".join(table(read_rows(options.out), scored, half)))
        return
    wanted, done = {row["case"] for row in ours}, {row["case"] for row in read_rows(options.out)}
    for case in cases():
        if case.name in wanted and case.name not in done:
            for row in run_case(case):
                with options.out.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(row) + "\n")
                print(row, flush=True)


if __name__ == "__main__":
    main()
