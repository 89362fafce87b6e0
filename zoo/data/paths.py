"""Finds the files that a list names, which may have been written on another machine."""

from __future__ import annotations

import os
import stat

from zoo.data.files import os_reason


def find(root: str, written: str) -> tuple[str, str | None]:
    """The path under which the file is there, or the reason why it is not.

    A table may come from a machine with other separators or another encoding, or be padded with spaces.
    """
    if "://" in written:
        return written, "an address, not a file: download it first"
    first: str | None = None
    for path in dict.fromkeys((written, written.strip(), decoded(written), written.strip().replace("\\", "/"))):
        reason = _missing(root, path)
        if reason is None:
            return path, None
        first = first or reason
    return written, first


def _missing(root: str, path: str) -> str | None:
    try:
        mode = os.stat(os.path.join(root, path)).st_mode  # noqa: PTH116, PTH118 - a million of them: Path is slow
    except FileNotFoundError:
        return "there is no such file"
    except OSError as error:
        return os_reason(error)
    except ValueError:
        return "its name is not a file name"
    return None if stat.S_ISREG(mode) else "not a regular file"


def decoded(text: str) -> str:
    """Text with bytes that are not UTF-8 read as Windows-1252, which spreadsheets write."""
    if text.isascii() or not any("\udc80" <= c <= "\udcff" for c in text):
        return text
    return text.encode("utf-8", "surrogateescape").decode("cp1252", "replace")


def relative(root: str, path: str) -> str:
    """One spelling for each file: relative to the root where it lies below it, without ``./``."""
    if ".." not in path:
        path = os.path.normpath(path)
    return path.removeprefix(f"{root}{os.sep}").replace(os.sep, "/")
