"""``Learner(..., cbs=ZooVet())``: watches a training by fastai."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from diagnose.callbacks.vet import Show, Vet, Vetting, to_stderr
from diagnose.watch import StepSampler
from zoo.errors import DependencyError

try:
    from fastai.callback.core import Callback
    from fastai.torch_core import rank_distrib
except ImportError:
    raise DependencyError.missing("fastai", extra="fastai", purpose="This callback") from None


class ZooVet(Vetting, Callback):
    """Samples the training's updates, and says at the end of each ``fit`` what is wrong with them.

    ``fine_tune`` fits twice and so speaks twice; a search for a learning rate is not watched.

    Args:
        every: Updates between two samples; by default 50, in a short training as many as leave 20 samples.
        show: Told what was found; standard error unless given.
    """

    order: ClassVar[int] = 90  # after what unscales and clips gradients, or skips the update
    run_valid: ClassVar[bool] = False

    def __init__(self, *, every: int | None = None, show: Show = to_stderr) -> None:
        super().__init__()
        self._vet = Vet(every=every, show=show)
        self._sampler: StepSampler | None = None

    def before_fit(self) -> None:
        """Begin to watch."""
        self._sampler = None
        if hasattr(self.learn, "lr_finder"):
            return

        def held() -> list[Tensor]:
            return [parameter for group in self.learn.opt.param_lists for parameter in group]

        updates = self.learn.n_epoch * len(self.learn.dls.train)
        self._sampler = self._vet.sample(self.learn.model, held, updates=updates)

    def before_step(self) -> None:
        """Note the update that is about to be made: fastai adds weight decay to the gradients in making it."""
        if self._sampler is not None:
            self._sampler.updated()

    def after_loss(self) -> None:
        """Note the loss."""
        if self._sampler is not None:
            self._vet.note_loss(self.learn.loss)

    def after_fit(self) -> None:
        """Show what was found."""
        if self._sampler is not None:
            self._vet.end(shown=rank_distrib() == 0)
            self._sampler = None
