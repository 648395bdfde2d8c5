"""What the numbers of a run depend on besides data and models: versions, commit, machine."""

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
    """Return Python's version and those of the packages that scores may depend on; nothing is imported."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_commit(folder: Path) -> str | None:
    """Return the commit checked out in `folder`, `-dirty` where files differ; None outside git."""
    return (
        _said("git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
        or None
    )


def machine() -> dict[str, Any]:
    """Return the machine in the words of a report: system, processor, cores, accelerators."""
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
    """Return the names of the NVIDIA GPUs of this machine; none where nvidia-smi is missing."""
    names = _said("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()
    return [name.strip() for name in names if name.strip()]


def accelerator(device: str) -> str:
    """Return the name of what a run on `device` computes with, fit for a folder; no torch is imported.

    Args:
        device: as given by the user: "auto", "cpu", "cuda:1", ...
    """
    place, _, index = resolve_device(device).partition(":")
    if place != "cuda":
        return place
    names, visible = accelerators(), os.environ.get("CUDA_VISIBLE_DEVICES", "")
    chosen = [gpu.strip() for gpu in visible.split(",")] if visible else [str(i) for i in range(len(names))]
    first = chosen[int(index or 0)] if int(index or 0) < len(chosen) else ""
    # A GPU may also be made visible by its UUID; machines of different GPUs are rare.
    name = names[int(first) if first.isdecimal() and int(first) < len(names) else 0] if names else place
    return "-".join("".join(c if c.isalnum() else " " for c in name).split())


def _said(*command: str) -> str:
    """Return what a command prints; nothing where it is missing, fails or hangs: no number depends on it."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def gpu_of_worker(worker: str, visible: str | None, present: int) -> str | None:
    """Return the one GPU that an xdist worker may use, indexed *into* what the caller may see.

    Args:
        worker: `gw0`, `gw1`, ...
        visible: the caller's CUDA_VISIBLE_DEVICES.
        present: how many GPUs the machine has, for where that is not set.

    Returns:
        The worker's CUDA_VISIBLE_DEVICES; None where there is nothing to share out.
    """
    # Set but empty hides every GPU.
    gpus = [str(i) for i in range(present)] if visible is None else visible.replace(" ", "").split(",")
    return gpus[int(worker.removeprefix("gw")) % len(gpus)] if len(gpus) > 1 else None


def share_out_gpus(worker: str) -> None:
    """Let this worker see one of the caller's GPUs; before torch is imported."""
    folder = Path("/proc/driver/nvidia/gpus")  # no torch is needed to count them
    present = len(list(folder.iterdir())) if folder.is_dir() else 0
    gpu = gpu_of_worker(worker, os.environ.get("CUDA_VISIBLE_DEVICES"), present)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
