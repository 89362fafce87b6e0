"""Every case of the benchmark.

Families are dealt out to two halves by turns, in the order of the registry, and so are the data sets: a family of the
development half is planted in data sets of that half only. Nothing of the reported half is looked at to choose a threshold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults import handed
from benchmarks.faults.code import feeding, modes, network, objective, rates, updates
from benchmarks.faults.data import amounts, copies, labels, pixels
from benchmarks.faults.families import CodeFault, DataFault, Half
from benchmarks.faults.handed import HandedFault

ALGORITHMS = Path(__file__).parents[1] / "algorithms"
DATA_FAULTS: tuple[DataFault, ...] = (
    labels.uniform, labels.pairs, labels.in_validation, labels.one_class, labels.shuffled, labels.twice, labels.mixed,
    labels.misspelt, copies.exact, copies.changed, copies.films, copies.conflicting, copies.harmless, pixels.truncated,
    pixels.dark, pixels.blurred, pixels.strangers, pixels.blank, pixels.camera, pixels.site, pixels.corner,
    pixels.exposure, amounts.rare, amounts.flood, amounts.few,
)  # fmt: skip
CODE_FAULTS: tuple[CodeFault, ...] = (
    *updates.FAULTS, *objective.FAULTS, *network.FAULTS, *rates.FAULTS, *modes.FAULTS, *feeding.FAULTS,
)  # fmt: skip
HANDED_FAULTS = handed.FAULTS
SETS: dict[Half, tuple[str, ...]] = {"dev": ("digits", "clothing"), "report": ("blood_cells", "sign_digits")}
TRAIN = {"digits": 320, "clothing": 640, "blood_cells": 320, "sign_digits": 640}
VALIDATION = 200
#: The healthy file that faults are planted in, by data set: trained from scratch on drawings, pretrained on photographs.
BASES = {"digits": "base", "clothing": "photographs", "blood_cells": "photographs", "sign_digits": "photographs"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One diagnosis whose right answer is known.

    Attributes:
        half: Where it counts.
        source: Data set of the world. ``seed``: of the draw, and of the fault.
        data, severity: The data fault, if any, and how harsh it is.
        code, step: The code fault, if any, and the number of its severity.
        file: The algorithm that is handed over, without its fault; none where there is none.
        rung: What else is handed over: ``log`` or ``predictions`` of a training. ``handed``: what is wrong with it.
    """

    half: Half
    source: str
    seed: int
    data: DataFault | None = None
    severity: float = 0.0
    code: CodeFault | None = None
    step: int = 0
    file: str | None = None
    text: str = field(default="", repr=False)
    rung: str = ""
    handed: HandedFault | None = None

    @property
    def train(self) -> int:
        """Pictures to learn from: so many that twice as many would win little."""
        return TRAIN[self.source]

    @property
    def name(self) -> str:
        """Says all of it; rows are found by it."""
        parts = [f"{self.source}-{self.seed}"]
        parts += [f"{self.data.name}={self.severity:g}"] if self.data else []
        parts += [self.file] if self.file else []
        parts += [self.rung] if self.rung else []
        parts += [f"{self.mistake.name}={self.step}"] if self.mistake else []
        return " ".join(parts)

    @property
    def kind(self) -> str:
        """healthy, data, algorithm or both."""
        if self.data and self.mistake:
            return "both"
        return "data" if self.data else "algorithm" if self.mistake else "healthy"

    @property
    def mistake(self) -> CodeFault | HandedFault | None:
        """What is wrong on the algorithm's side."""
        return self.code or self.handed


def half_of(family: DataFault | CodeFault | HandedFault) -> Half:
    """Families take turns."""
    place = next(group.index(family) for group in (DATA_FAULTS, CODE_FAULTS, HANDED_FAULTS) if family in group)
    return "report" if place % 2 else "dev"


def planted(text: str, fault: CodeFault, step: int) -> str | None:
    """The text with one severity of a fault; ``None`` where it has no place for it."""
    for before, after in fault.edits[step]:
        if before not in text:
            return None
        text = text.replace(before, after)
    return text


def source_of(file: str) -> str:
    """The text of an algorithm file, ``base``, ``photographs`` or ``healthy/NAME``."""
    return (ALGORITHMS / f"{file}.py").read_text(encoding="utf-8")


def cases() -> Iterator[Case]:
    """All of them, the cheap ones first."""
    yield from healthy_data()
    yield from data_cases()
    yield from handed_cases()
    yield from healthy_code()
    yield from code_cases()
    yield from pair_cases()


def healthy_data() -> Iterator[Case]:
    """Data sets that nothing was planted in."""
    for half, sources in SETS.items():
        for source in sources:
            for seed in range(10):
                yield Case(half=half, source=source, seed=seed)


def data_cases() -> Iterator[Case]:
    """Each severity of each family in each data set of its half, the second time in another draw."""
    for fault in DATA_FAULTS:
        half = half_of(fault)
        for number, source in enumerate(SETS[half]):
            for severity in fault.severities:
                yield Case(half=half, source=source, seed=20 + number, data=fault, severity=severity)


def handed_cases() -> Iterator[Case]:
    """Logs and predictions of trainings, sound ones and each severity of each family."""
    for half, sources in SETS.items():
        for source in sources:
            for seed in (30, 31):
                for rung in ("log", "predictions"):
                    yield Case(half=half, source=source, seed=seed, rung=rung)
    for fault in HANDED_FAULTS:
        half = half_of(fault)
        for step in range(len(fault.trainings)):
            for source in SETS[half]:
                yield Case(half=half, source=source, seed=30, rung=fault.rung, handed=fault, step=step)


def healthy_code() -> Iterator[Case]:
    """Sound training code: what faults are planted in, and files of other styles."""
    for half, sources in SETS.items():
        for source in sources:
            for seed in (40, 41):
                yield _coded(half, source, seed, BASES[source])
    for number, path in enumerate(sorted((ALGORITHMS / "healthy").glob("*.py"))):
        yield _coded("dev", "digits", 50 + number % 2, f"healthy/{path.stem}")


def code_cases() -> Iterator[Case]:
    """Each severity of each family, in the first data set of its half whose file has a place for it."""
    for fault in CODE_FAULTS:
        half = half_of(fault)
        for step in range(len(fault.edits)):
            found = [c for source in SETS[half] if (c := _broken(half, source, fault, step)) is not None]
            yield from found


def pair_cases() -> Iterator[Case]:
    """A data fault and a code fault together, both of one half, families taken in turn."""
    for half, sources in SETS.items():
        spoilt = [f for f in DATA_FAULTS if half_of(f) == half and f.name != "copies-in-training"]
        broken = [f for f in CODE_FAULTS if half_of(f) == half and f.measured]
        for number, fault in enumerate(spoilt):
            source = sources[number % len(sources)]
            for code in broken[number:] + broken[:number]:
                step = len(code.edits) - 1
                case = _broken(half, source, code, step, seed=60, data=fault, severity=fault.severities[-1])
                if case is not None:
                    yield case
                    break


def _coded(half: Half, source: str, seed: int, file: str) -> Case:
    return Case(half=half, source=source, seed=seed, file=file, text=source_of(file))


def _broken(
    half: Half, source: str, fault: CodeFault, step: int, *, seed: int = 40, data: DataFault | None = None, severity=0.0
) -> Case | None:
    text = planted(source_of(BASES[source]), fault, step)
    if text is None:
        return None
    return Case(
        half=half, source=source, seed=seed, data=data, severity=severity, code=fault,
        step=step, file=BASES[source], text=text,
    )  # fmt: skip
