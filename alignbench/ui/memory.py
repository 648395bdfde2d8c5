"""Gives memory that a job has used back to the system."""

from __future__ import annotations

import ctypes
import gc
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def give_back() -> None:
    """Free objects that are no longer used, and give their memory back to the system.

    Figures are cycles of objects with large buffers. Among the many objects of torch and gradio, the garbage
    collector looks for old cycles so rarely that the page would keep those of many jobs. The C library keeps
    the freed memory in arenas of each thread until it is told to give it back.
    """
    gc.collect()
    if (trim := _malloc_trim()) is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """Return glibc's `malloc_trim`; None with another C library."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # TypeError: Windows, where None names no library
        return None
    return trim
