"""A person's look at the most useful images, and what their answers say of the estimates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from diagnose.comparison import proportion
from diagnose.findings import Evidence, Example, Finding, Kind, Verdict
from zoo.data.names import printable
from zoo.errors import DataError

Answer = Literal["right", "wrong", "unsure"]
_ITEMS = 50
_REVIEWED = ("label-noise", "conflicting-duplicates", "off-topic", "class-overlap")


def review_items(verdict: Verdict, *, seed: int = 0) -> tuple[Example, ...]:
    """The images whose answers tell most: of the suspect labels some of the surest, the others drawn at random.

    Only images drawn at random say how many suspects are truly wrong; the surest are the ones worth mending first.
    """
    findings = [*verdict.causes, *verdict.remarks]
    pool: dict[str, Example] = {}
    for cause in _REVIEWED:
        for finding in findings:
            if finding.cause == cause:
                pool |= {example.path: example for example in finding.examples if example.path not in pool}
    examples = list(pool.values())
    if len(examples) <= _ITEMS:
        return tuple(examples)
    surest, rest = examples[: _ITEMS // 2], examples[_ITEMS // 2 :]
    chosen = np.sort(np.random.default_rng(seed).choice(len(rest), _ITEMS - len(surest), replace=False))
    return (*surest, *(rest[int(i)] for i in chosen))


def read_answers(path: Path) -> dict[str, Answer]:
    """The answers that the review page saved: ``{"answers": {PATH: "right" | "wrong" | "unsure"}}``.

    Raises:
        DataError: The file is not there or is none of a review page.
    """
    try:
        answers = json.loads(path.read_text("utf-8"))["answers"]
        wrong = {str(value) for value in answers.values()} - set(get_args(Answer))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{printable(str(path))} is no file of answers ({type(error).__name__}).",
            remedy="Save one from the page that zoo diagnose DATA --review writes.",
        ) from error
    if wrong:
        raise DataError(
            f"{printable(str(path))} holds answers that are none: {', '.join(sorted(map(printable, wrong))[:3])}.",
            remedy="An answer is right, wrong or unsure.",
        )
    return {str(name): value for name, value in answers.items()}


def with_answers(verdict: Verdict, answers: Mapping[str, Answer]) -> Verdict:
    """The verdict with suspects cleared where a person found the label right, and the share of true errors narrowed."""
    return replace(
        verdict,
        causes=tuple(_answered(finding, answers) for finding in verdict.causes),
        remarks=tuple(_answered(finding, answers) for finding in verdict.remarks),
    )


def _answered(finding: Finding, answers: Mapping[str, Answer]) -> Finding:
    given = [answers[example.path] for example in finding.examples if example.path in answers]
    wrong, right = given.count("wrong"), given.count("right")
    if finding.cause not in _REVIEWED or wrong + right == 0:
        return finding
    share = proportion(wrong, wrong + right)
    evidence = Evidence(
        statistic="suspects that a person found wrong",
        value=share.value,
        interval=share.interval,
        unit="share",
        sample_size=wrong + right,
        kind=Kind.INTERVENTION,
    )
    flagged = len(finding.examples)
    low, high = (round(end * flagged) for end in share.interval)
    return replace(
        finding,
        message=f"{finding.message} You found {wrong} of {wrong + right} suspects wrong: expect {low} to {high} of {flagged}.",
        evidence=(*finding.evidence, evidence),
        examples=tuple(example for example in finding.examples if answers.get(example.path) != "right"),
    )
