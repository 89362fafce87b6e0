"""``Trainer(..., callbacks=[ZooVet()])``: watches a training by Hugging Face's ``Trainer``."""

from __future__ import annotations

from typing import Any

from torch import nn

from diagnose.callbacks.vet import Show, Vet, Vetting, to_stderr
from zoo.errors import DependencyError

try:
    from transformers import TrainerCallback
except ImportError:
    raise DependencyError.missing("transformers", extra="huggingface", purpose="This callback") from None


class ZooVet(Vetting, TrainerCallback):
    """Samples the training's updates, and says at its end what is wrong with them.

    Args:
        every: Updates between two samples; by default 50, in a short training as many as leave 20 samples.
        show: Told what was found, once, by the main process; standard error unless given.
    """

    def __init__(self, *, every: int | None = None, show: Show = to_stderr) -> None:
        self._vet = Vet(every=every, show=show)

    def on_train_begin(
        self, _args: Any, state: Any, _control: Any, *, model: nn.Module, optimizer: object = None, **_more: Any
    ) -> None:
        """Begin to watch."""
        self._vet.watch(model, [optimizer], updates=state.max_steps)

    def on_train_end(self, _args: Any, state: Any, _control: Any, **_more: Any) -> None:
        """Show what was found."""
        self._vet.end(shown=state.is_world_process_zero)
