"""What other processes do while something is timed, and how much memory this process takes.

Both are read from Linux's /proc; what another system does not tell is None and never a guess.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from alignbench.cores import available_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_RESET_PEAK = "5"
_DISTURBED = 0.05  # of the time, spent waiting for a CPU
_PARALLEL = 1.05  # CPU seconds per second, more than one thread can use
MIB = 2**20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_MOST_MMAP, _MOST_INT = 32 * MIB, 2**31 - 1  # the largest values that malloc accepts


@dataclass(frozen=True, slots=True)
class Usage:
    """The CPU seconds used up to a moment.

    Args:
        at: the moment.
        own: the CPU seconds of this process.
        everybody: the CPU seconds of all processes and of the machine's host; None if unknown.
    """

    at: float
    own: float
    everybody: float | None


class DeviceClock(Protocol):
    """A clock of an accelerator."""

    def seconds(self, call: Callable[[], object]) -> float | None:
        """Return the accelerator's seconds from the start of a call to the end of its work; None if unknown.

        The call is made in any case, and its work is done when this returns.
        """


class CudaEvents:
    """The clock of a CUDA GPU: the time between two events that the GPU itself records.

    Args:
        device: the GPU, as torch names it.
    """

    def __init__(self, device: str) -> None:
        self.device = device

    def seconds(self, call: Callable[[], object]) -> float | None:
        """Return the seconds between an event before the call's work and one after it."""
        torch = sys.modules.get("torch")
        if torch is None or not torch.cuda.is_initialized():  # nothing has run on it, and this call may not
            call()
            return None
        with torch.cuda.device(self.device):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            call()
            end.record()
            end.synchronize()
            return float(begin.elapsed_time(end)) / 1e3


class Machine:
    """The clocks and gauges for timings.

    Args:
        device: the device of the timed work; a timing waits for its end.
        threads: how many threads compute.
        proc: the folder in which Linux tells what processes do.
        device_clock: the accelerator's own clock; None for `CudaEvents` on CUDA, and none elsewhere.
    """

    def __init__(
        self,
        device: str = "cpu",
        threads: int = 1,
        proc: Path = Path("/proc"),
        device_clock: DeviceClock | None = None,
    ) -> None:
        self.device = device
        if device_clock is None and device.startswith("cuda"):
            device_clock = CudaEvents(device)
        self.device_clock = device_clock
        self.proc = proc
        self.alone = device == "cpu" and threads == 1
        self.cores = available_cores()

    def now(self) -> float:
        """Return the time in seconds."""
        return time.perf_counter()

    def computed(self) -> float:
        """Return the CPU seconds that this process has used."""
        return time.process_time()

    def waited(self) -> float | None:
        """Return the seconds that this thread was ready to run while others had the CPU."""
        try:
            return int((self.proc / "thread-self" / "schedstat").read_text("ascii").split()[1]) / 1e9
        except (OSError, IndexError, ValueError):
            return None

    def timed(self, call: Callable[[], object]) -> tuple[float, bool]:
        """Return the seconds of a call until its accelerator is done, and whether they can be relied on.

        For one thread on a CPU, the time that it was ready while other processes had the CPU is subtracted:
        the rest is what the call takes on an idle machine. With several threads or an accelerator, it is
        unknown how much a wait costs in all, so the seconds are those of the accelerator's clock, or of the
        wall clock where it has none, and they can't be relied on if the thread waited for a CPU.
        """
        self.synchronise()
        before, ready, computed, started = self.now(), self.waited(), self.computed(), self.now()
        on_device = None
        if self.device_clock is None:
            call()
        else:
            on_device = self.device_clock.seconds(call)
        self.synchronise()
        seconds = self.now() - started
        computed = self.computed() - computed
        ready_now, after = self.waited(), self.now()
        taken = seconds if on_device is None else on_device
        if ready is None or ready_now is None:
            return taken, True
        # A wait while the clocks were read is not a wait of the call.
        waited = max(0.0, ready_now - ready - (after - before - seconds))
        if self.alone and computed <= _PARALLEL * seconds:
            return min(seconds, max(computed, seconds - waited)), True  # no call takes less than it computes
        return taken, waited <= _DISTURBED * seconds

    def pause(self, seconds: float) -> None:
        """Wait, so that others can use the machine."""
        time.sleep(seconds)

    def synchronise(self) -> None:
        """Wait until the accelerator has finished its work."""
        torch = sys.modules.get("torch")
        if torch is None or self.device == "cpu":
            return
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)
        elif self.device == "mps":
            torch.mps.synchronize()

    def usage(self) -> Usage:
        """Return the CPU seconds used so far."""
        return Usage(self.now(), self.computed(), _everybody(self.proc))

    def others(self, since: Usage) -> float | None:
        """Return how many cores other processes have kept busy since then.

        If only the load average is known, it is used; it covers the last minute.
        """
        now = self.usage()
        seconds = max(now.at - since.at, 1e-9)
        own = now.own - since.own
        if since.everybody is not None and now.everybody is not None:
            return max(0.0, (now.everybody - since.everybody - own) / seconds)
        try:
            return max(0.0, os.getloadavg()[0] - own / seconds)
        except (OSError, AttributeError):
            return None

    def peak_memory(self, call: Callable[[], object]) -> float | None:
        """Return the MiB that `call` needs at its peak; None if the system doesn't tell.

        On CUDA this is everything that torch has allocated, weights included; elsewhere it is the growth of
        the resident set.
        """
        if self.device.startswith("cuda"):
            return _cuda_peak(call, self.device)
        return _resident_growth(call, self.proc / "self")


def threads_to_use() -> int:
    """Return how many threads timed work gets: the value of OMP_NUM_THREADS, or one."""
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(given) if given.isdecimal() and int(given) > 0 else 1


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch and BLAS compute with `count` threads.

    Each of several threads waits for the slowest at every step: on two cores that other processes also used,
    a forward pass of 13 ms took 1,500 ms, while a single thread took 8 ms as on an idle machine.
    """
    from threadpoolctl import get_cached_controller

    torch: Any = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else None
    with get_cached_controller().limit(limits=count):
        if torch is not None:
            torch.set_num_threads(count)
        try:
            yield
        finally:
            if torch is not None:
                torch.set_num_threads(before)


def keep_freed_memory() -> None:
    """Make the allocator keep the memory that this process frees, if the allocator supports that.

    Otherwise it depends on everything freed before whether the pages of a freed array of up to 32 MiB go back
    to the system and have to be zeroed again for the next array: in every other process, the same call took
    half as long again. The setting holds until the process ends.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _MOST_MMAP)
        libc.mallopt(_M_TRIM_THRESHOLD, _MOST_INT)


def _everybody(proc: Path) -> float | None:
    """Return the seconds that all CPUs have been busy, including what the host took for others."""
    try:
        fields = [int(field) for field in (proc / "stat").read_text("ascii").split("\n", 1)[0].split()[1:9]]
        user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _cuda_peak(call: Callable[[], object], device: str) -> float:
    import torch

    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    call()
    torch.cuda.synchronize(device)
    return float(torch.cuda.max_memory_allocated(device)) / MIB


def _resident_growth(call: Callable[[], object], process: Path) -> float | None:
    with contextlib.suppress(OSError, AttributeError, TypeError):
        # Freed memory that the allocator keeps would hide what the call needs.
        ctypes.CDLL(None).malloc_trim(0)
    before = _resident(process, "VmRSS")
    try:
        (process / "clear_refs").write_text(_RESET_PEAK, "ascii")
    except OSError:
        return None
    call()
    peak = _resident(process, "VmHWM")
    return None if before is None or peak is None else max(0.0, peak - before)


def _resident(process: Path, field: str) -> float | None:
    try:
        lines = (process / "status").read_text("ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
