"""Memory that a job leaves behind, given back to the system."""

from __future__ import annotations

import ctypes
import gc
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def give_back() -> None:
    """Free what nobody holds any more.

    Figures are cycles of objects with large buffers. With the many objects of torch and gradio beside them,
    the collector looks at old cycles so rarely that a page would hold those of many jobs. What is freed
    stays with the C library, in an arena of each thread, until the library is asked for it.
    """
    gc.collect()
    if (trim := _malloc_trim()) is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """Return glibc's `malloc_trim`; None where there is another C library."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # TypeError: Windows, where None names no library
        return None
    return trim
