"""Names of devices, read without looking for the device, which takes torch and its seconds."""

from __future__ import annotations

import re

from zoo.errors import OptionError

_NAME = re.compile(r"(auto|cpu|mps|cuda)(?::(\d+))?")


def parse(name: str) -> tuple[str, int | None]:
    """The kind of a device and its number: ``("cuda", 1)`` for ``cuda:1``; no number is ``None``.

    Raises:
        OptionError: No device is called so.
    """
    found = _NAME.fullmatch(name)
    if found is None or (found[2] and found[1] != "cuda"):
        raise OptionError(f"There is no device {name!r}.", remedy="Use auto, cpu, cuda, cuda:N or mps. See: zoo doctor")
    return found[1], None if found[2] is None else int(found[2])
