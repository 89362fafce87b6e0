"""One backbone in the pass: its table of features, and itself once it is needed."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import numpy.typing as npt

from zoo import cache, devices, engine
from zoo.backbone import Backbone
from zoo.card import Card
from zoo.runner import Runner
from zoo.store import Digests, Table, mark_used, row_bytes

#: Of what the pass stores; a change makes everything anew.
FORMAT = 1


class Column:
    """One backbone: its table, and itself once it is needed.

    Args:
        backbone: The model.
        device: A name for ``zoo.devices``.
    """

    def __init__(self, backbone: Backbone, *, device: str) -> None:
        self.card = backbone.card
        self.device = devices.torch_device(device)
        self._load = backbone.load
        self._asked = engine.check(engine.asked())
        self.folder = cache.root() / "features" / _key(backbone.card, backbone.fingerprint, self._asked)
        self.table: Table | None = None
        self._runner: Runner | None = None
        self.refresh()
        mark_used(self.folder)

    def refresh(self) -> None:
        """Opens the table again. The width of its rows is known once there are some."""
        size = row_bytes(self.folder)
        self.table = None if size is None else Table(self.folder, np.dtype(("<f2", (size // 2,))))

    def has(self, digests: Digests) -> npt.NDArray[np.bool_]:
        """Which contents have a row, ``(n,)``."""
        return np.zeros(len(digests), dtype=bool) if self.table is None else self.table.locate(digests) >= 0

    def runner(self, images: int) -> Runner:
        """The backbone, loaded at the first call; ``images`` is how many there are to do."""
        if self._runner is None:
            module = self._load()
            chosen = engine.choose(self.card, module, self.device, images=images, name=self._asked)
            self._runner = Runner(module, self.card.preprocess, chosen.name, batch=chosen.batch, device=self.device)
        return self._runner


def _key(card: Card, fingerprint: str, asked: str) -> str:
    """The name of a table: everything that its rows depend on.

    Engines agree closely enough to share one (``zoo.engine.AGREEMENT``), but for bfloat16. Who asks for float32 gets
    nothing else.
    """
    precision = asked if asked in ("float32", "bfloat16") else "close"
    identity = "\n".join([card.name, fingerprint, repr(card.preprocess), precision, str(FORMAT)])
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", card.name)[-60:]
    return f"{readable}-{hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()}"
