"""``Trainer(callbacks=[ZooVet()])``: watches a training by PyTorch Lightning, under either of its package names."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from diagnose.callbacks.vet import Show, Vet, Vetting, to_stderr
from zoo.errors import DependencyError

try:
    from lightning.pytorch import Callback
except ImportError:
    try:
        from pytorch_lightning import Callback
    except ImportError:
        raise DependencyError.missing("lightning", extra="lightning", purpose="This callback") from None


class ZooVet(Vetting, Callback):
    """Samples the training's updates, and says at its end what is wrong with them.

    Args:
        every: Updates between two samples; by default 50, in a short training as many as leave 20 samples.
        show: Told what was found, once, by the main process; standard error unless given.
    """

    def __init__(self, *, every: int | None = None, show: Show = to_stderr) -> None:
        super().__init__()
        self._vet = Vet(every=every, show=show)

    def on_train_start(self, trainer: Any, pl_module: nn.Module) -> None:
        """Begin to watch."""
        self._vet.watch(pl_module, trainer.optimizers, updates=trainer.estimated_stepping_batches)

    def on_before_backward(self, _trainer: Any, _pl_module: nn.Module, loss: Tensor) -> None:
        """Note the loss."""
        self._vet.note_loss(loss)

    def on_train_end(self, trainer: Any, _pl_module: nn.Module) -> None:
        """Show what was found."""
        self._vet.end(shown=trainer.is_global_zero)

    def on_exception(self, _trainer: Any, _pl_module: nn.Module, _exception: BaseException) -> None:
        """Take the hooks away; the error speaks for itself."""
        self._vet.leave()
