"""Names from a disk as text that can be printed, written as UTF-8, and compared between machines."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

# Controls, line and paragraph separators, marks that turn the direction of text, and halves of surrogate pairs, which
# stand for bytes that are not UTF-8 (PEP 383).
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""``text`` on one line and encodable as UTF-8; what is neither is shown as an escape.

    >>> print(printable("two\nlines"), printable(b"caf\xe9.jpg".decode(errors="surrogateescape")))
    two\nlines caf\xe9.jpg
    """
    return _UNPRINTABLE.sub(_escape, text)


def class_name(text: str) -> str:
    """The name of a class: printable, and the same whether a machine composes its accents (NFC) or not (NFD)."""
    return unicodedata.normalize("NFC", printable(text))


def nearly_equal_names(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Names that differ only in capitals, spaces, ``-`` or ``_``: most likely one class, mistyped.

    >>> nearly_equal_names(["cat", "dog", "Cat "])
    [('Cat ', 'cat')]
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", name)).strip().casefold()].append(name)
    return [tuple(sorted(group)) for _, group in sorted(alike.items()) if len(group) > 1]


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    named = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}.get(match.group())
    return named or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
