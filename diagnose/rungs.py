"""What the rungs of the ladder beyond the data add to the results: the person's own algorithm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from diagnose.algorithm import ExamineOptions, examine
from diagnose.algorithm_data import pictures_of
from diagnose.context import Context
from diagnose.findings import CheckFailure, Control, Estimate, Finding, NotTested
from diagnose.verdict import Results


@dataclass(frozen=True, kw_only=True)
class AlgorithmRung:
    """What an examination of the person's algorithm found.

    Attributes:
        findings: One for every cause that was looked at.
        controls: Their algorithm, the known-good recipe and every swap, on the same pictures.
        failures: Experiments of ours that failed.
        not_tested: Causes that stay open.
        yours: What their algorithm reached on a part of the data; ``None`` where the known-good recipe has not been
            trained on the same part, since it then compares with nothing.
        known_good: What the known-good recipe reached on that part.
    """

    findings: tuple[Finding, ...]
    controls: tuple[Control, ...]
    failures: tuple[CheckFailure, ...]
    not_tested: tuple[NotTested, ...]
    yours: Estimate | None
    known_good: Estimate | None

    def added_to(self, results: Results) -> Results:
        """The results with this rung. Predictions, where there are some, say more about the person's own accuracy."""
        tested = {finding.cause for finding in self.findings} | {entry.name for entry in self.not_tested}
        open_ = tuple(entry for entry in results.not_tested if entry.name not in tested)
        joined = replace(
            results,
            findings=(*results.findings, *self.findings),
            controls=(*results.controls, *self.controls),
            failures=(*results.failures, *self.failures),
            not_tested=(*open_, *self.not_tested),
        )
        if results.yours is not None or self.yours is None or self.known_good is None:
            return joined
        return replace(joined, yours=self.yours, ceiling=self.known_good, gap=self.known_good - self.yours)


def algorithm_rung(context: Context, path: Path, *, budget: float | None) -> AlgorithmRung:
    """Examine the person's algorithm on a part of their data.

    Args:
        context: The data.
        path: Their Python file.
        budget: Seconds it may take; the default of ``ExamineOptions`` where ``None``.

    Raises:
        OptionError: There is no such file.
        DataError: The data has no held-out pictures of two classes.
    """
    options = ExamineOptions(seed=context.seed, progress=context.progress)
    if budget is not None:
        options = replace(options, budget=budget)
    pictures = pictures_of(context.dataset, train=options.train, validation=options.validation, seed=context.seed)
    found = examine(path, pictures, options)
    reached = {control.name: control.accuracy for control in found.controls}
    theirs, known_good = reached.get("theirs"), reached.get("known-good")
    return AlgorithmRung(
        findings=found.findings,
        controls=found.controls,
        failures=found.failures,
        not_tested=found.not_tested,
        yours=theirs if known_good is not None else None,
        known_good=known_good,
    )
