"""A person's algorithm, examined: `zoo diagnose DATA --algorithm train.py`."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from diagnose.algorithm_context import REFERENCE, AlgorithmContext
from diagnose.algorithm_data import KNOWN_GOOD_TRAIN, KNOWN_GOOD_VALIDATION, known_good_pictures
from diagnose.budget import Budget
from diagnose.confirming import confirm, patched, propose, run_accuracy, seconds_allowed
from diagnose.findings import CheckFailure, Control, Edit, Finding, NotTested
from diagnose.probe import describe
from diagnose.probed import KnownGood
from diagnose.sandbox.measurements import (
    Loaded,
    LoaderFacts,
    LossFacts,
    Mishap,
    ModelFacts,
    OverfitFacts,
    RunFacts,
    ScheduleFacts,
    StepFacts,
    TransformFacts,
    Variant,
)
from diagnose.sandbox.pictures import Pictures
from diagnose.sandbox.session import Request, Sandbox
from diagnose.swap import Swaps
from zoo.progress import ProgressCallback, silent

#: Audits in order: name of the experiment, field of the context, record, whether a mishap is the person's.
_AUDITS: tuple[tuple[str, type[Any], bool], ...] = (
    ("model", ModelFacts, True),
    ("transform", TransformFacts, True),
    ("loss", LossFacts, False),  # driven with a stand-in model: their step may rightly refuse it
    ("step", StepFacts, True),
    ("loader", LoaderFacts, False),  # driven with numbered items
    ("schedule", ScheduleFacts, True),
    ("overfit", OverfitFacts, True),
)
_LEAST_IMAGES = 120
_LEAST_SCORED = 200
#: Trainings that a search takes: of 19 development cases that ended in time half took 2 and none more than 4; what stays
#: unexplained takes more.
_EXPECTED_RUNS = 6
_MOST_OF_IT = 0.95
#: Accuracy that sound code should reach on some hundred digits, handed over as a file or as a command. A choice, not measured
#: on many files: a linear probe reaches more, and a network that learns nothing a tenth.
OWN_LINE = 0.8
_OWN_DATA = "digits"


@dataclass(frozen=True, kw_only=True)
class ExamineOptions:
    """How an algorithm is examined.

    Attributes:
        reference: Known-good recipe, a module of ``diagnose.references``.
        budget: Seconds for everything.
        seed: Of everything random.
        memory: Megabytes that their code may allocate.
        threads: Processor threads of the experiments.
        train: At most so many training pictures; fewer where the budget asks for it. ``validation`` likewise.
        experiment_seconds: Limit of one audit.
        confirm: Whether the edit that mends the file is run; that is not counted against the budget.
    """

    reference: str = "efficientnet_lite0"
    budget: float = 900.0
    seed: int = 0
    memory: int = 8192
    threads: int = 1
    train: int = 2000
    validation: int = 500
    experiment_seconds: float = 60.0
    confirm: bool = False
    progress: ProgressCallback = field(default=silent)


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What came out.

    Attributes:
        findings: One for every cause that was looked at; causes first, most likely first.
        controls: Accuracies that were measured: theirs, the known-good recipe, every swap.
        not_tested: Causes that no measurement speaks of, with the reason.
        failures: Experiments of ours that failed without being the person's fault.
        context: All measurements.
        edit: What mends the file, where a fault is in it and can be mended by an edit.
        own_line: Accuracy that the control ``own-code`` (their algorithm on known-good data, cell C) must reach.
    """

    findings: tuple[Finding, ...]
    controls: tuple[Control, ...]
    not_tested: tuple[NotTested, ...]
    failures: tuple[CheckFailure, ...]
    context: AlgorithmContext
    seconds: float
    edit: Edit | None = None
    own_line: float = OWN_LINE


def examine(
    algorithm: Path,
    pictures: Pictures,
    options: ExamineOptions | None = None,
    known_good: KnownGood | None = None,
) -> Examination:
    """Audit an algorithm file, train it beside the known-good recipe, and swap parts until the causes are known.

    Args:
        algorithm: The person's Python file. It runs in a process of its own, on copies.
        pictures: Their data (a subset will do), split.
        options: Budget, seed, limits.
        known_good: What a known-good model reaches on as many of the pictures; the reference is trained where ``None``.

    Raises:
        OptionError: There is no such file.
    """
    options = options or ExamineOptions()
    started = time.monotonic()
    with Sandbox(algorithm, reference=options.reference, memory=options.memory, threads=options.threads) as sandbox:
        examiner = _Examiner(sandbox, pictures, options, known_good)  # the budget counts from here
        sandbox.provide("theirs", pictures)
        sandbox.provide(_OWN_DATA, known_good_pictures(len(pictures.classes)))
        findings = examiner.run()
    edit, failures = examiner.mend(algorithm, findings)
    context = examiner.swaps.context
    return Examination(
        findings=tuple(findings),
        controls=tuple(_controls(context)),
        not_tested=(*examiner.late, *_not_tested(examiner.swaps)),
        failures=(*examiner.failures, *examiner.swaps.failures, *failures),
        context=context,
        seconds=time.monotonic() - started,
        edit=edit,
    )


class _Examiner:
    """One examination: the sandbox, the budget, the sizes of the experiments."""

    def __init__(
        self, sandbox: Sandbox, pictures: Pictures, options: ExamineOptions, known_good: KnownGood | None
    ) -> None:
        self._sandbox, self._pictures, self._options, self._known_good = sandbox, pictures, options, known_good
        self._budget = Budget(options.budget)
        self._train_size = min(options.train, len(pictures.train))
        self._validation_size = min(options.validation, len(pictures.validation))
        self.failures: list[CheckFailure] = []
        self.late: list[NotTested] = []
        context = AlgorithmContext(num_classes=len(pictures.classes))
        self.swaps = Swaps(context, self._train, self._enlarge)

    def run(self) -> list[Finding]:
        loaded = self._ask("load", Loaded)
        if isinstance(loaded, Mishap):
            self._note(loaded, theirs=True)
        elif loaded is not None:
            self._update(loaded=loaded)
            self._audit(loaded)
            if self.swaps.measure(REFERENCE):
                self._learn_from_fewer()
                if self.swaps.measure(Variant()):
                    self._own_code()
        return self.swaps.run()

    def _learn_from_fewer(self) -> None:
        """Theirs on a third of the pictures, where these are not all: how much more of them are worth to it."""
        context, size, left = self.swaps.context, self._train_size // 3, self._budget.left
        if context.hunger is None or left <= 0:
            return
        self._options.progress("your algorithm on fewer pictures", 0, 1)
        answer = self._sandbox.ask(replace(self._request("train", left / 3), train=size), RunFacts)
        if isinstance(answer, RunFacts) and answer.finished:
            self._update(runs=(*context.runs, replace(answer, data="fewer", seed=0)))

    def _enlarge(self) -> bool:
        """Twice the pictures to learn from or more, where training theirs on them leaves half of the time that is left."""
        theirs = self.swaps.context.theirs
        if theirs is None or not theirs.finished:
            return False
        more = self._budget.left / 2 / theirs.seconds * theirs.images
        larger = int(min(more, self._options.train, len(self._pictures.train)))
        if larger < 2 * self._train_size:
            return False
        self._train_size = larger
        return True

    def mend(self, algorithm: Path, findings: list[Finding]) -> tuple[Edit | None, tuple[CheckFailure, ...]]:
        """The edit that mends the file, run where that was asked for, and what failed in running it."""
        proposal = propose(algorithm, findings, self.swaps.context, self.swaps.sure_changes())
        if proposal is None:
            return None, ()
        if not self._options.confirm:
            return proposal.edit, ()
        self._options.progress("your algorithm with the edit", 0, 1)
        with (
            patched(algorithm, proposal.text) as file,
            Sandbox(
                file, reference=self._options.reference, memory=self._options.memory, threads=self._options.threads
            ) as sandbox,
        ):
            sandbox.provide("theirs", self._pictures)
            return confirm(
                sandbox, proposal.edit, self.swaps.context, self._request("train", seconds_allowed(self.swaps.context))
            )

    def _request(self, experiment: str, seconds: float) -> Request:
        """An experiment with the algorithm as it stands, on as many pictures as all others."""
        return Request(
            experiment=experiment,
            seconds=seconds,
            seed=self._options.seed,
            train=self._train_size,
            validation=self._validation_size,
        )

    def _audit(self, loaded: Loaded) -> None:
        for number, (experiment, record, theirs) in enumerate(_AUDITS):
            self._options.progress("audits", number, len(_AUDITS))
            if experiment == "loader" and "loader" not in loaded.defined:
                continue
            answer = self._ask(experiment, record)
            if isinstance(answer, Mishap):
                self._note(answer, theirs=theirs)
                if theirs and answer.kind != "crash":
                    break  # whatever hung or ended the process will do so again
            elif answer is not None:
                self._update(**{experiment: answer})
            if isinstance(answer, OverfitFacts) and answer.steps:
                self._choose_sizes(loaded, answer)

    def _own_code(self) -> None:
        """Cell C: their algorithm as it stands, on known-good pictures."""
        context, share = self.swaps.context, self._budget.left / 6
        if share <= 0 or context.mishaps or not context.complete(Variant()):
            return
        if context.overfit is not None and context.loaded is not None:
            train, validation = (
                min(self._train_size, KNOWN_GOOD_TRAIN),
                min(self._validation_size, KNOWN_GOOD_VALIDATION),
            )
            if _seconds(context.overfit, context.loaded.epochs, train, validation) > share:
                return  # what would be cut short says nothing
        self._options.progress("your algorithm on known-good data", 0, 1)
        answer = self._sandbox.ask(replace(self._request("train", share), data=_OWN_DATA), RunFacts)
        if isinstance(answer, Mishap):
            # On their own data it may run all the same: whether it does, the next training shows.
            if answer.kind != "hang":
                self.swaps.failures.append(CheckFailure(check="own-code", error=answer.error))
        elif answer.finished:
            self._update(runs=(*self.swaps.context.runs, answer))

    def _ask(self, experiment: str, record: type[Any]) -> Any:
        if self._budget.left <= 0:
            return None
        seconds = min(self._options.experiment_seconds, self._budget.left)
        return self._sandbox.ask(self._request(experiment, seconds), record)

    def _choose_sizes(self, loaded: Loaded, cost: OverfitFacts) -> None:
        """As many pictures as let some trainings, with their scoring, fit into what is left."""
        scoring = _seconds(cost, loaded.epochs, 0, _LEAST_SCORED, runs=_EXPECTED_RUNS)
        a_picture = _seconds(cost, loaded.epochs, 1, 0, runs=_EXPECTED_RUNS)
        affordable = (self._budget.left - scoring) / max(1e-6, a_picture)
        self._train_size = int(min(self._train_size, max(_LEAST_IMAGES, affordable)))
        if self._train_size < len(self._pictures.train) and self._train_size % max(2, loaded.batch_size) == 1:
            self._train_size -= 1  # batch-norm refuses a last batch of one picture, which their data need not have
        # Scoring costs a forward pass a picture: not more than the training.
        self._validation_size = int(min(self._validation_size, max(_LEAST_SCORED, 2 * self._train_size)))

    def _train(self, variant: Variant, seed: int) -> RunFacts | Mishap | None:
        if self._budget.left <= 0:
            return None
        self._options.progress(describe(variant), 0, 1)
        if variant == REFERENCE and self._known_good is not None:
            answer: RunFacts | Mishap = self._probe(self._known_good, self._options.seed + seed)
        else:
            request = replace(self._request("train", self._seconds(variant)), variant=variant)
            answer = self._sandbox.ask(replace(request, seed=self._options.seed + seed), RunFacts)
        if isinstance(answer, RunFacts):
            # A run is asked for by the number of its repeat.
            return replace(answer, variant=variant, seed=seed)
        if variant != Variant():
            name = f"swap: {describe(variant)}"
            if answer.kind == "hang":
                self.late.append(NotTested(name=name, needs="a larger --budget"))
            else:
                self.failures.append(CheckFailure(check=name, error=answer.error))
        return answer

    def _probe(self, known_good: KnownGood, seed: int) -> RunFacts:
        """The known-good model on as many pictures as theirs, and what it would win by the rest of them."""
        run, available = known_good(self._train_size, self._validation_size, seed), len(self._pictures.train)
        if self._train_size < available:
            whole = known_good(available, self._validation_size, seed)
            self._update(available=available, hunger=self.swaps.context.compare((run,), (whole,)))
        else:
            self._update(available=None, hunger=None)
        return run

    def _seconds(self, variant: Variant) -> float:
        """How long a training may take of what is left.

        With theirs cut short nothing can be compared, so that it may take nearly all of it. A swap may take half as long again as
        theirs did, epoch by epoch, or a fifth.
        """
        left, theirs = self._budget.left, self.swaps.context.theirs
        if variant == REFERENCE:
            return left / 3
        if theirs is None:
            return _MOST_OF_IT * left
        return min(left, max(left / 5, 1.5 * variant.epochs * theirs.seconds))

    def _note(self, mishap: Mishap, *, theirs: bool) -> None:
        # A mishap outside their file is theirs only where they are called as promised and nothing is made up.
        if theirs and (mishap.line is not None or mishap.experiment in {"load", "step", "model"}):
            self._update(mishaps=(*self.swaps.context.mishaps, mishap))
        else:
            self.failures.append(CheckFailure(check=mishap.experiment, error=mishap.error))

    def _update(self, **measured: Any) -> None:
        self.swaps.context = replace(self.swaps.context, **measured)


def _seconds(cost: OverfitFacts, epochs: int, train: int, validation: int, *, runs: int = 1) -> float:
    """What trainings on as many pictures take, each with a first pass over them: what a file keeps ends with the training."""
    return runs * ((train + validation) * (cost.first + cost.once) + train * epochs * cost.each)


def _controls(context: AlgorithmContext) -> list[Control]:
    controls = []
    for run in context.runs:
        if run.seed:
            continue
        repeats = [r for r in context.runs_of(run.variant, run.data) if r.images == run.images]
        name = {Variant(): "theirs", REFERENCE: "known-good"}.get(run.variant, f"swap: {describe(run.variant)}")
        name = {_OWN_DATA: "own-code", "fewer": f"{name}, fewer pictures"}.get(run.data, name)
        detail = f"{run.images} training pictures, " + (
            f"{len(run.curve)} epochs" if run.curve else "a probe on features"
        )
        detail += "" if run.finished else ", cut short"
        seconds = sum(r.seconds for r in repeats)
        estimate = run_accuracy(run)
        controls.append(Control(name=name, accuracy=estimate, seeds=len(repeats), seconds=seconds, detail=detail))
    return controls


def _not_tested(swaps: Swaps) -> list[NotTested]:
    """Causes of probes that had nothing to say, and cell C where it was not reached."""
    spoken = {o.cause for _, o in swaps.observations()}
    silent_causes = [c for probe in swaps.probes for c in probe.causes if c not in spoken]
    needs = {"loader-order": "build_loader in the algorithm file", "evaluation": "evaluate in the algorithm file"}
    open_ = [
        NotTested(name=c, needs=needs.get(c, "an algorithm that runs, or a larger --budget")) for c in silent_causes
    ]
    if not any(run.data == _OWN_DATA for run in swaps.context.runs):
        stopped = swaps.context.mishaps or any(failure.check == "own-code" for failure in swaps.failures)
        needs_own = "an algorithm that runs" if stopped else "a larger --budget"
        open_.append(NotTested(name="own-code", needs=needs_own))
    return open_
