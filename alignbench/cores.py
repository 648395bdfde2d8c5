"""The processor cores that this process may use."""

from __future__ import annotations

import os
import sys


def available_cores() -> int:
    """Return how many cores this process may use."""
    if sys.platform == "darwin" or sys.platform == "win32":
        return os.cpu_count() or 1
    return len(os.sched_getaffinity(0))
