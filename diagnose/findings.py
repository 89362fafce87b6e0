"""What a diagnosis is made of. Data only: nothing here computes or prints."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Side(StrEnum):
    """Which half of the experiment a cause belongs to."""

    DATA = "data"
    ALGORITHM = "algorithm"


class Outcome(StrEnum):
    """What a check found.

    ``REVIEW`` is a remark: worth a look, shown below the causes, never a reason for a verdict.
    """

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    REVIEW = "review"
    NOT_APPLICABLE = "not-applicable"


class Kind(StrEnum):
    """How strong evidence is: the cause was taken away and the accuracy compared, or something was only seen."""

    INTERVENTION = "intervention"
    OBSERVATION = "observation"


class Conclusion(StrEnum):
    """The five answers."""

    DATA = "data"
    ALGORITHM = "algorithm"
    BOTH = "both"
    NOTHING = "nothing"
    UNDETERMINED = "undetermined"


class Strength(StrEnum):
    """Conclusive: an intervention shows it. Suggestive: an observation does. None: neither."""

    CONCLUSIVE = "conclusive"
    SUGGESTIVE = "suggestive"
    NONE = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A figure with its 95 % interval, both in the same unit (accuracies as fractions, points as fractions too)."""

    value: float
    interval: tuple[float, float]

    def __sub__(self, other: Estimate) -> Estimate:
        """The difference of two independent estimates; the interval by the square-and-add rule (Newcombe 1998)."""
        value = self.value - other.value
        low = ((self.value - self.interval[0]) ** 2 + (other.interval[1] - other.value) ** 2) ** 0.5
        high = ((self.interval[1] - self.value) ** 2 + (other.value - other.interval[0]) ** 2) ** 0.5
        return Estimate(value=value, interval=(value - low, value + high))


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """One measured number behind a finding, beside what it is compared with."""

    statistic: str
    value: float
    unit: str = ""
    reference: float | None = None
    interval: tuple[float, float] | None = None
    sample_size: int | None = None
    kind: Kind = Kind.OBSERVATION


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One image that shows a finding: ``note`` is what to look at, ``related`` are paths it belongs with."""

    path: str
    note: str = ""
    suggestion: str | None = None
    score: float | None = None
    related: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check says of one cause.

    Attributes:
        check: Name of the check.
        cause: The cause's published name (``label-noise``, ``learning-rate``, ...).
        side: The half it belongs to.
        outcome: Fail, remark, pass or not applicable.
        message: One or two sentences for a person.
        remedy: The command or the edit that mends it; empty where nothing is wrong.
        evidence: The numbers.
        examples: Images that show it, most telling first.
        points: Accuracy that an intervention won back, as a fraction with its interval; ``None`` where none was made.
    """

    check: str
    cause: str
    side: Side
    outcome: Outcome
    message: str
    remedy: str = ""
    evidence: tuple[Evidence, ...] = ()
    examples: tuple[Example, ...] = ()
    points: Estimate | None = None

    @property
    def tried(self) -> bool:
        """Whether an experiment is behind it, and not only something that was seen."""
        return self.points is not None or any(evidence.kind is Kind.INTERVENTION for evidence in self.evidence)


@dataclass(frozen=True, kw_only=True)
class CheckFailure:
    """A check that crashed. Reported; never evidence; never stops the rest."""

    check: str
    error: str


@dataclass(frozen=True, kw_only=True)
class Control:
    """One cell of the experiment: an accuracy that was measured, and how.

    Attributes:
        name: ``positive-control``, ``reference``, ``shuffled-labels``, ``random-resplit``, ``majority``, ...
        accuracy: Held-out accuracy with its interval.
        seeds: Repeats behind it.
        seconds: What it cost.
        detail: What was trained, in a few words ("probe on efficientnet_lite0").
    """

    name: str
    accuracy: Estimate
    seeds: int = 1
    seconds: float = 0.0
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class SelfTest:
    """What the ends of the ceiling make of labels drawn anew at random, and what they should: accuracies.

    Attributes:
        shares: Shares of the labels drawn anew, ``(s,)``.
        expected: What the lower and the upper end should have moved to, ``(2, s)``.
        found: What they moved to, ``(2, s)``.
    """

    shares: tuple[float, ...]
    expected: tuple[tuple[float, ...], tuple[float, ...]]
    found: tuple[tuple[float, ...], tuple[float, ...]]

    @property
    def stray(self) -> float:
        """The largest distance from what was expected, as a fraction."""
        ends = zip(self.expected, self.found, strict=True)
        return max(abs(e - f) for expected, found in ends for e, f in zip(expected, found, strict=True))

    @property
    def short(self) -> float:
        """By how much the upper end falls short of what it should be, at worst; 0 where it nowhere does."""
        return max(0.0, *(e - f for e, f in zip(self.expected[1], self.found[1], strict=True)))


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """The best accuracy to be had.

    Attributes:
        given: On labels as given. The value is what the best control reaches; the interval goes from what that surely
            reaches to what the error of the nearest neighbour leaves room for.
        corrected: On right labels.
        self_test: How far the ends stray on this data.
        smallest_class: Images of the class that has the fewest.
        enough: Whether that is enough for the upper end to be more than a guess.
    """

    given: Estimate
    corrected: Estimate
    self_test: SelfTest
    smallest_class: int
    enough: bool

    def forbids(self, target: float) -> bool:
        """Whether the target is proven out of reach: only a lower bound on the error proves it, and only with enough images."""
        return self.enough and target > self.given.interval[1]


@dataclass(frozen=True, kw_only=True)
class NotTested:
    """A cause that could not be tested, and what would test it (a flag, an experiment and its cost)."""

    name: str
    needs: str


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A change of the person's own file that takes causes away.

    Attributes:
        file: Its name.
        diff: Unified, as ``patch`` reads it.
        before: Accuracy of the file as it is; ``None`` where it reaches none.
        after: Accuracy with the edit; ``None`` where it was not run.
        gain: The difference on the same pictures; ``None`` where either is.
    """

    file: str
    diff: str
    before: Estimate | None = None
    after: Estimate | None = None
    gain: Estimate | None = None


@dataclass(frozen=True, kw_only=True)
class Part:
    """The part of the person's pictures that their algorithm was trained and judged on, and what was shown possible there.

    Attributes:
        learnt: Pictures that both learnt from.
        judged: Pictures that both were judged on.
        possible: The higher accuracy that was shown on them.
        by: What showed it, in a few words.
    """

    learnt: int
    judged: int
    possible: Estimate
    by: str


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """The experiment's four cells, held-out accuracies; ``None`` where a cell was not measured.

    Attributes:
        positive_control: A: the known-good model on known-good data.
        reference: B: the known-good model on the person's data.
        own_code: C: the person's algorithm on known-good data.
        yours: D: the person's algorithm on their data.
    """

    positive_control: Estimate | None = None
    reference: Estimate | None = None
    own_code: Estimate | None = None
    yours: Estimate | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer.

    Attributes:
        conclusion: One of the five answers.
        strength: How it is known.
        summary: The first line a person reads.
        target: The accuracy asked for, where one was.
        ceiling: What this data allows.
        limits: The ceiling with its self-test, on given and on corrected labels, where it could be estimated.
        yours: What the person's own algorithm reaches, where known.
        gap: By how much that is under a known-good one, on the same pictures where they were compared on such.
        part: Which pictures these were, where not all of them.
        causes: Failed findings, most likely first.
        remarks: Worth a look; never a reason for the verdict.
        passed: Names of the checks that found nothing.
        edit: What to change in the person's file, where the fault is in it.
        matrix: The four cells of the experiment.
        controls: Every accuracy that was measured.
        not_tested: What the missing rungs leave open.
        failures: Checks that crashed.
        seconds: What the whole diagnosis took.
    """

    conclusion: Conclusion
    strength: Strength
    summary: str
    target: float | None = None
    ceiling: Estimate | None = None
    limits: Ceiling | None = None
    yours: Estimate | None = None
    gap: Estimate | None = None
    part: Part | None = None
    causes: tuple[Finding, ...] = ()
    remarks: tuple[Finding, ...] = ()
    passed: tuple[str, ...] = ()
    edit: Edit | None = None
    matrix: Matrix = Matrix()
    controls: tuple[Control, ...] = ()
    not_tested: tuple[NotTested, ...] = ()
    failures: tuple[CheckFailure, ...] = ()
    seconds: float = 0.0
