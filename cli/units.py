"""Sizes and times as a person reads them at a glance."""

from __future__ import annotations


def duration(seconds: float | None) -> str:
    """A time; a question mark where it is not known.

    >>> duration(48), duration(700), duration(3900)
    ('48 s', '12 min', '1 h 05 min')
    """
    if seconds is None:
        return "?"
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: int | None) -> str:
    """Bytes; a dash where there are none.

    >>> size(18_400_000), size(2_300), size(7)
    ('18 MB', '2.3 kB', '7 B')
    """
    if count is None:
        return "-"
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} {units[0]}" if value >= 10 or units[0] == "B" else f"{value:.1f} {units[0]}"
