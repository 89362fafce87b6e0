"""Runs the controls and checks of a diagnosis: one by one, in time, and so that a crash of one stops no other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from diagnose import escalation, experiments
from diagnose.budget import Budget
from diagnose.ceiling import estimated_ceiling
from diagnose.check import Check
from diagnose.context import Context
from diagnose.examination import FEWEST
from diagnose.findings import Ceiling, CheckFailure, Control, Estimate, Finding, NotTested

T = TypeVar("T")

_COSTS = ("instant", "forward", "train")


class Laboratory:
    """Runs controls and checks one by one, each on its own, as long as the budget lasts.

    Args:
        context: The data.
        budget: Time for all of it.

    Attributes:
        failures: What crashed; it is reported, and is never evidence.
        skipped: What there was no time for, or what the data is too small for.
        seconds: What each experiment and check cost.
    """

    def __init__(self, context: Context, budget: Budget) -> None:
        self.context = context
        self.budget = budget
        self.failures: list[CheckFailure] = []
        self.skipped: list[NotTested] = []
        self.seconds: list[tuple[str, float]] = []

    def controls(self) -> tuple[Control, ...]:
        """The reference first; the others as the budget allows."""
        context = self.context
        found = [experiments.reference(context), experiments.majority(context)]
        for name, control in (
            ("shuffled-labels", experiments.shuffled_labels),
            ("random-resplit", experiments.random_resplit),
        ):
            if self.budget.left > 0:
                found.append(control(context))
            else:
                self.skipped.append(NotTested(name=name, needs="a larger --budget"))
        return tuple(found)

    def findings(self, checks: Iterable[Check[Context]]) -> tuple[Finding, ...]:
        """What the checks say; the cheap ones first."""
        order = sorted(checks, key=lambda check: _COSTS.index(check.cost))
        found: list[Finding] = []
        for number, check in enumerate(order):
            self.context.progress("checks", number, len(order))
            if self.budget.left > 0:
                found += self._isolated(check.name, partial(check.run, self.context)) or []
            else:
                self.skipped += [NotTested(name=cause, needs="a larger --budget") for cause in check.causes]
        self.context.progress("checks", len(order), len(order))
        return tuple(found)

    def stronger(self, escalate: escalation.Escalate | None) -> escalation.Stronger | None:
        """A stronger reference by ``escalate``, where there is such a thing and the budget allows."""
        if escalate is None or self.budget.left <= 0:
            needs = f"fine-tuning a stronger model: --full, about {round(escalation.UNBOUNDED / 60)} minutes"
            self.skipped.append(NotTested(name="reference", needs=needs))
            return None
        seconds = escalation.seconds_for(self.budget.left)
        return self._isolated("reference", partial(escalate, self.context, seconds))

    def limits(self, reached: Estimate) -> Ceiling | None:
        """The ceiling, where there are images enough to say anything of labels and the budget allows."""
        context = self.context
        if len(context.dataset) < FEWEST or self.budget.left <= 0:
            needs = "a larger --budget" if self.budget.left <= 0 else f"at least {FEWEST} images"
            self.skipped.append(NotTested(name="ceiling", needs=needs))
            return None
        return self._isolated("ceiling", lambda: estimated_ceiling(context, reached))

    def _isolated(self, name: str, compute: Callable[[], T]) -> T | None:
        start = time.perf_counter()
        try:
            return compute()
        except Exception as error:  # noqa: BLE001 - the one place that isolates a check: a crash stops no other
            self.failures.append(CheckFailure(check=name, error=f"{type(error).__name__}: {error}"))
            return None
        finally:
            self.seconds.append((name, time.perf_counter() - start))
