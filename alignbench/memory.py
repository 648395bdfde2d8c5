"""Main memory: how much is free, whether something fits, and whether an error means that it did not."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
CGROUPS: Final = Path("/sys/fs/cgroup")
# In errors of torch that have no type of their own: of its allocator on a CPU, and of cuBLAS.
_SHORTAGE: Final = ("can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")


def available_memory() -> int | None:
    """Return the bytes of main memory that this process can still get; None if the system doesn't say.

    This is the smallest of the machine's free memory, what the process's control group (a container) leaves,
    and what its own limit of address space leaves.
    """
    free = [left for left in (_free_on_machine(), _left_in_group(), _left_of_addresses()) if left is not None]
    return min(free, default=None)


def check_room(need: float) -> None:
    """Raise a MemoryError if `need` bytes are more than are free, before anything is allocated.

    Linux grants memory that it does not have, and later kills the process that uses it, with all its results.
    """
    if need >= 2**28:  # smaller amounts are not worth the check
        free = available_memory()
        if free is not None and need > free:
            raise MemoryError(f"needs about {gib(need)}, {gib(free)} are free")


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error or its cause says that memory ran out: numpy's, torch's, an accelerator's."""
    while error is not None:
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return True
        if isinstance(error, RuntimeError) and any(words in str(error) for words in _SHORTAGE):
            return True
        error = error.__cause__
    return False


def gib(size: float) -> str:
    """Return bytes as `3.2 GiB`."""
    return f"{size / 2**30:.1f} GiB"


def _free_on_machine() -> int | None:
    return _kilobytes(PROC / "meminfo", "MemAvailable")


def _left_of_addresses() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit, used = resource.getrlimit(resource.RLIMIT_AS)[0], _kilobytes(PROC / "self" / "status", "VmSize")
    return None if limit == resource.RLIM_INFINITY or used is None else max(0, limit - used)


def _left_in_group() -> int | None:
    # Memory that caches files counts as used, but is given up when it is needed.
    with contextlib.suppress(OSError, ValueError):
        group = (PROC / "self" / "cgroup").read_text(encoding="utf-8").partition("0::")[2].split("\n")[0]
        folder = CGROUPS / group.lstrip("/")
        limit, used = (int((folder / f"memory.{name}").read_text()) for name in ("max", "current"))
        files = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return max(0, limit - used + int(files.get("inactive_file", 0)))
    return None


def _kilobytes(file: Path, name: str) -> int | None:
    with contextlib.suppress(OSError, LookupError, ValueError):
        fields = dict(line.split(":", 1) for line in file.read_text(encoding="utf-8").splitlines())
        return int(fields[name].split()[0]) * 1024
    return None
