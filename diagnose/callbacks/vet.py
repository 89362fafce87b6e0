"""What the callbacks share: one watch a training, its findings, and the words that end it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from diagnose.probe import Certainty, Observation
from diagnose.step_records import StepRecord
from diagnose.watch import StepSampler, parameters_of

Show = Callable[[str], None]
_EVERY, _LEAST_SAMPLES = 50, 20


def to_stderr(text: str) -> None:
    """Where findings are shown unless told otherwise."""
    sys.stderr.write(f"{text}\n")


class Vet:
    """Watches one training after the other, and keeps the last one's findings.

    Args:
        every: Updates between two samples; by default 50, in a short training as many as leave 20 samples.
        show: Told what was found at the end of a training.
    """

    def __init__(self, *, every: int | None = None, show: Show = to_stderr) -> None:
        self._chosen, self._show = every, show
        self._sampler: StepSampler | None = None
        self._counter: RemovableHandle | None = None
        self._reason = "no training was begun"

    @property
    def findings(self) -> tuple[Observation, ...]:
        """What is amiss in the training so far, surest first; empty where nothing is."""
        seen = [] if self._sampler is None else self._sampler.observations()
        return tuple(sorted((o for o in seen if o.certainty is not Certainty.NONE), key=lambda o: -o.certainty))

    @property
    def records(self) -> tuple[StepRecord, ...]:
        """What was noted, by update."""
        return () if self._sampler is None else tuple(self._sampler.records)

    def watch(self, model: nn.Module, optimizers: Iterable[object], *, updates: float) -> None:
        """Begin with a training of so many updates; where it has not one optimizer of torch's, keep why not.

        Args:
            model: What trains.
            optimizers: The library's, its own wrappers around them included.
            updates: Of the whole training, as far as it is known; infinity where it is not.
        """
        self.leave()
        self._sampler = None
        found = [_unwrapped(optimizer) for optimizer in optimizers]
        if len(found) != 1 or not isinstance(found[0], Optimizer):
            names = ", ".join(type(optimizer).__name__ for optimizer in found) or "none"
            self._reason = f"it needs one optimizer of torch.optim (found: {names})"
            return
        sampler = self.sample(model, parameters_of(found[0]), updates=updates)
        self._counter = found[0].register_step_post_hook(lambda *_arguments: sampler.updated())

    def sample(self, model: nn.Module, held: Callable[[], Iterable[Tensor]], *, updates: float) -> StepSampler:
        """Begin with a training whose optimizer has no hooks: the sampler is to be told of each update."""
        self.leave()
        self._sampler = StepSampler(model, held, every=self._every(updates))
        self._sampler.begin()
        return self._sampler

    def note_loss(self, loss: Tensor) -> None:
        """The loss of this step."""
        if self._sampler is not None:
            self._sampler.note_loss(loss)

    def leave(self) -> None:
        """Take the hooks away, without a word. The findings stay."""
        if self._counter is not None:
            self._counter.remove()
            self._counter = None
        if self._sampler is not None:
            self._sampler.end()

    def end(self, *, shown: bool) -> None:
        """Take the hooks away and show what was found."""
        self.leave()
        if shown:
            self._show(self._words())

    def _every(self, updates: float) -> int:
        if self._chosen is not None:
            return max(1, self._chosen)
        return max(1, int(min(_EVERY, updates / _LEAST_SAMPLES)))

    def _words(self) -> str:
        if self._sampler is None:
            return f"zoovet looked at nothing: {self._reason}."
        looked = f"zoovet looked at {len(self.records)} of {self._sampler.steps} updates"
        if not self.findings:
            return f"{looked} and found nothing amiss."
        doubt = {Certainty.SURE: "", Certainty.HINT: "perhaps "}
        lines = [f"  {doubt[o.certainty]}{o.cause}: {o.message} {o.remedy}" for o in self.findings]
        return "\n".join([f"{looked}:", *lines])


class Vetting:
    """What every callback tells of its vet; to be inherited beside the library's own callback."""

    _vet: Vet

    @property
    def findings(self) -> tuple[Observation, ...]:
        """What is amiss in the last training, surest first; empty where nothing is."""
        return self._vet.findings

    @property
    def records(self) -> tuple[StepRecord, ...]:
        """What was noted, by update."""
        return self._vet.records


def _unwrapped(optimizer: object) -> object:
    """The optimizer inside the wrappers of accelerate and Lightning."""
    while (inner := getattr(optimizer, "optimizer", None)) is not None:
        optimizer = inner
    return optimizer
