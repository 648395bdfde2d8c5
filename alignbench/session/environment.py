"""The environment of a run, which its numbers also depend on: versions, commit and machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from alignbench.weights.precision import resolve_device

_PACKAGES = (
    "alignbench",
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "torchvision",
    "transformers",
    "open-clip-torch",
    "timm",
    "pillow",
    "pytest",
    "pytest-benchmark",
    "pytest-xdist",
)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that scores may depend on, without imports."""
    by_package = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            by_package[package] = version(package)
        except PackageNotFoundError:
            by_package[package] = "not installed"
    return by_package


def git_commit(folder: Path) -> str | None:
    """Return the commit that is checked out in `folder`, with `-dirty` if files differ; None outside git."""
    describe = ("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    return _output("git", "-C", str(folder), *describe) or None


def machine() -> dict[str, Any]:
    """Return the machine as a report describes it: system, processor, cores and accelerators."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "accelerators": accelerators(),
    }


def processor() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def accelerators() -> list[str]:
    """Return the names of the NVIDIA GPUs of this machine; an empty list without nvidia-smi."""
    names = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()
    return [name.strip() for name in names if name.strip()]


def accelerator(device: str) -> str:
    """Return the name of what a run on `device` computes with, as a folder's name, without importing torch.

    Args:
        device: the device as the user wrote it: "auto", "cpu", "cuda:1", ...
    """
    place, _, index = resolve_device(device).partition(":")
    if place != "cuda":
        return place
    names, visible = accelerators(), os.environ.get("CUDA_VISIBLE_DEVICES", "")
    chosen = [gpu.strip() for gpu in visible.split(",")] if visible else [str(i) for i in range(len(names))]
    first = chosen[int(index or 0)] if int(index or 0) < len(chosen) else ""
    # CUDA_VISIBLE_DEVICES may also hold UUIDs; machines with different GPUs are rare.
    name = names[int(first) if first.isdecimal() and int(first) < len(names) else 0] if names else place
    return "-".join("".join(c if c.isalnum() else " " for c in name).split())


def _output(*command: str) -> str:
    """Return what a command prints; "" if it is missing, fails or hangs, because no score depends on it."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def gpu_of_worker(worker: str, visible: str | None, present: int) -> str | None:
    """Return the one GPU that an xdist worker may use: one of those that the caller may see.

    Args:
        worker: `gw0`, `gw1`, ...
        visible: the caller's CUDA_VISIBLE_DEVICES; None if it is not set.
        present: the number of GPUs of the machine, which are all visible if it is not set.

    Returns:
        The worker's CUDA_VISIBLE_DEVICES; None if there are fewer than two GPUs.
    """
    # A variable that is set but empty hides every GPU.
    gpus = [str(i) for i in range(present)] if visible is None else visible.replace(" ", "").split(",")
    return gpus[int(worker.removeprefix("gw")) % len(gpus)] if len(gpus) > 1 else None


def share_out_gpus(worker: str) -> None:
    """Let this worker see one of the caller's GPUs; to be called before torch is imported."""
    folder = Path("/proc/driver/nvidia/gpus")  # counts them without torch
    present = len(list(folder.iterdir())) if folder.is_dir() else 0
    gpu = gpu_of_worker(worker, os.environ.get("CUDA_VISIBLE_DEVICES"), present)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
