"""What a person may mistype, checked without loading torch."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Sequence
from pathlib import Path

import explain.methods
from zoo.data.names import printable
from zoo.errors import DataError, OptionError
from zoo.registry import nearest
from zoo.request import vacant

TARGETS = ("pred", "true", "contrast")


def check_arguments(
    *, method: str, target: str, classes: Sequence[str], images: Sequence[str | Path], out: Path | None
) -> None:
    """Look at what ``explain`` is given, before anything slow is loaded.

    Raises:
        OptionError: There is no such method or class, or the folder for the result is not empty.
        DataError: An image is not there.
    """
    check_method(method)
    check_target(target, classes)
    if out is not None:
        vacant(out)
    for image in map(Path, images):
        if not image.exists():
            raise DataError(
                f"There is no file {printable(str(image))}.", remedy="Name image files or a folder of them."
            )


def check_method(name: str) -> None:
    """Raise where no method can go by ``name``: a method is called like its file, or like it with a number after it.

    Raises:
        OptionError: There is none; names the nearest.
    """
    files = [module.name.replace("_", "-") for module in pkgutil.iter_modules(explain.methods.__path__)]
    if name != "auto" and re.sub(r"-\d+$", "", name) not in files:
        raise OptionError(f"There is no method {name!r}.", remedy=nearest(name, ["auto", *files]))


def check_target(spec: str, classes: Sequence[str]) -> None:
    """Raise where ``spec`` is neither a way to choose a class nor a class, by name or number.

    Raises:
        OptionError: It is none.
    """
    if spec in TARGETS or spec in classes or (spec.isdigit() and int(spec) < len(classes)):
        return
    known = ", ".join(classes[:12])
    raise OptionError(f"There is no class {spec!r}.", remedy=f"Use {', '.join(TARGETS)} or one of: {known}.")
