"""What the numbers of a run depend on besides data and models: versions, commit, machine."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

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
    if not shutil.which("git"):
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return result.stdout.strip() or None


def machine() -> dict[str, Any]:
    """Return the machine in the words of a report: system, processor, cores, accelerators."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "accelerators": _accelerators(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _accelerators() -> list[str]:
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return (
        [line.strip() for line in result.stdout.splitlines() if line.strip()] if not result.returncode else []
    )


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


def count_gpus() -> int:
    """Return the number of NVIDIA GPUs that the driver knows; no torch is imported."""
    folder = Path("/proc/driver/nvidia/gpus")
    return len(list(folder.iterdir())) if folder.is_dir() else 0
