"""Quantities in readable form."""

from __future__ import annotations


def size_text(size: float) -> str:
    """Return a number of bytes in readable form."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def count_text(count: float) -> str:
    """Return a large number in readable form: 4.2M, 86M, 7.5B."""
    unit, of_unit = ("B", count / 1e9) if count >= 999_500_000 else ("M", count / 1e6)
    return f"{of_unit:.1f}{unit}" if unit == "B" or of_unit < 9.95 else f"{of_unit:.0f}{unit}"


def duration_text(seconds: float) -> str:
    """Return a duration in readable form, no more precise than an estimate is."""
    if seconds < 115:
        step = 5 if seconds < 30 else 10
        return f"{max(step, step * round(seconds / step))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def plural(count: int, noun: str) -> str:
    """Return `1 row`, `2 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
