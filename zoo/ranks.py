"""Which of several processes this is, by what torchrun tells them in the environment. Needs no torch."""

from __future__ import annotations

import os


def several() -> bool:
    """Whether ``torchrun`` or ``accelerate launch`` started more than one process."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_main() -> bool:
    """Whether this process is alone, or the first of several: the one that writes and prints."""
    return not several() or os.environ.get("RANK", "0") == "0"
