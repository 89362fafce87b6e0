"""Files that cannot be decoded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from diagnose.check import DATA_CHECKS, Check, passed
from diagnose.context import Context
from diagnose.findings import Evidence, Example, Finding, Outcome, Side
from zoo.data.dataset import Skipped
from zoo.data.formats import Kind, kind_of


@DATA_CHECKS.register("unreadable-files")
@dataclass(frozen=True, kw_only=True)
class UnreadableFiles(Check[Context]):
    """Pictures that cannot be decoded: empty, cut off, damaged, or not pictures at all.

    What it does: counts the files with a picture's name that the pass could not decode, with their reasons. Files that
    were never meant to be pictures (notes, lists, folders) do not count.

    Why it is bad: training code stops at such a file, or skips it without a word, or sees noise or the upper half of a
    picture under the whole picture's label. Where many are affected, what was measured is not the data that was meant.

    Known problems: a file that decodes into rubbish is not seen here (``image-quality`` and ``off-topic`` may see it).

    Remedy: copy the files again from their source, or leave them out (``zoo diagnose DATA --fix OUT``).

    References: none needed.
    """

    name: ClassVar[str] = "unreadable-files"
    side: ClassVar[Side] = Side.DATA
    causes: ClassVar[tuple[str, ...]] = ("unreadable-files",)

    largest_share: float = 0.02  # of all pictures

    def run(self, context: Context) -> list[Finding]:
        """Count what was skipped."""
        lost = [skipped for skipped in context.dataset.skipped if _was_meant(skipped)]
        total = len(lost) + len(context.dataset)
        if not lost:
            return [passed(self, f"All {total} pictures can be decoded.")]
        share = len(lost) / total
        reasons = ", ".join(f"{reason} ({count})" for reason, count in Counter(s.reason for s in lost).most_common(3))
        return [
            Finding(
                check=self.name,
                cause="unreadable-files",
                side=self.side,
                outcome=Outcome.FAIL if share >= self.largest_share else Outcome.REVIEW,
                message=f"{len(lost)} of {total} pictures cannot be decoded: {reasons}.",
                remedy="Copy them again from their source, or write a manifest without them: zoo diagnose DATA --fix OUT",
                evidence=(Evidence(statistic="unreadable", value=share, unit="share", sample_size=total),),
                examples=tuple(Example(path=s.path, note=s.reason) for s in lost[:20]),
            )
        ]


def _was_meant(skipped: Skipped) -> bool:
    """Whether the file was meant to be a picture, by its name."""
    return kind_of(skipped.path.rsplit("/", 1)[-1]) is Kind.IMAGE
