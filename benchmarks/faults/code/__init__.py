"""Faults of training code, a module a topic: edits of the text of a healthy file."""

from __future__ import annotations

from benchmarks.faults.families import CodeFault

Edit = tuple[str, str]


def code_fault(name: str, causes: str, *severities: tuple[Edit, ...], measured: bool = True) -> CodeFault:
    """A family with one tuple of edits a severity, from mild to harsh."""
    return CodeFault(name=name, causes=tuple(causes.split()), edits=severities, measured=measured)


def edit(before: str, after: str) -> tuple[Edit, ...]:
    """A severity that one edit makes."""
    return ((before, after),)


def edits(before: str, *afters: str) -> tuple[tuple[Edit, ...], ...]:
    """Severities that put different texts in one place."""
    return tuple(edit(before, after) for after in afters)


#: The line that ends a model's building, after which a fault may spoil it.
BUILT = "    return model\n"
STEP = "    optimizer.step()\n"
SCORES = "return self.fc(self.drop(x.flatten(1)))"
CROSS_ENTROPY = "return nn.CrossEntropyLoss()"
