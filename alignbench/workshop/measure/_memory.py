"""The memory that a process uses now, and its peak."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_mib() -> float:
    """Return the largest resident size of this process so far, in MiB.

    Linux stores it with the address space (VmHWM); the value of getrusage is never less than the size of the
    parent when it started this process.
    """
    if Path("/proc/self/status").is_file():
        return _status_mib("self", "VmHWM")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024**2 if sys.platform == "darwin" else peak / 1024


def resident_mib(pid: int) -> float:
    """Return the resident size of a process now, in MiB; Linux only."""
    return _status_mib(str(pid), "VmRSS")


def _status_mib(pid: str, field: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:")), 0.0)
