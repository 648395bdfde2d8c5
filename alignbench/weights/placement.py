"""The GPUs that a run may use, and which of them a model or a worker gets: decided without torch."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

# Devices that leave the choice of the GPU to us; `cuda:1` does not.
_OPEN = ("auto", "cuda")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU of the machine.

    Args:
        name: its index or its identifier, as CUDA_VISIBLE_DEVICES names it.
        free: the bytes that are free on it; None if that is unknown, as for a part of a GPU (MIG).
    """

    name: str
    free: int | None


def device_for(worker: str, gpus: tuple[str, ...], asked: str) -> str | None:
    """Return the one GPU that an xdist worker may use, in turn.

    Args:
        worker: `gw0`, `gw1`, ...
        gpus: the names of the GPUs that the caller may see.
        asked: the device as the user wrote it.

    Returns:
        The worker's CUDA_VISIBLE_DEVICES; None if there is nothing to share out: fewer than two GPUs, or a
        device that the user chose.
    """
    if asked not in _OPEN or len(gpus) < 2:
        return None
    return gpus[int(worker.removeprefix("gw")) % len(gpus)]


def is_spread(need: int, gpus: tuple[Gpu, ...], asked: str) -> bool:
    """Whether a model's layers have to be distributed over all GPUs.

    Args:
        need: the bytes that the model takes.
        gpus: the GPUs that this process may use, first the one that it would use alone.
        asked: the device as the user wrote it.
    """
    if asked not in _OPEN or len(gpus) < 2 or gpus[0].free is None:
        return False
    return need > gpus[0].free


def visible_names(visible: str | None, present: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the GPUs that torch sees, in its order.

    Args:
        visible: CUDA_VISIBLE_DEVICES; None if it is not set. Set but empty, it hides every GPU.
        present: the names of the machine's GPUs.
    """
    if visible is None:
        return present
    return tuple(name for name in visible.replace(" ", "").split(",") if name)


def visible_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that this process may use, in torch's order; none without nvidia-smi."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    query = [command, "--query-gpu=index,uuid,memory.free", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
        rows = [[cell.strip() for cell in line.split(",")] for line in answer.splitlines() if line.strip()]
        # Where a GPU shares the memory of the machine, or may not be asked, this is a word: "[N/A]".
        free = {
            name: int(mib) * 2**20 if mib.isdecimal() else None
            for index, uuid, mib in rows
            for name in (index, uuid)
        }
        names = visible_names(os.environ.get("CUDA_VISIBLE_DEVICES"), tuple(index for index, _, _ in rows))
    except (OSError, subprocess.SubprocessError, ValueError):
        return ()
    return tuple(Gpu(name, free.get(name)) for name in names)
