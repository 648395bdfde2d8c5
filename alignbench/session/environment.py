"""The environment of a run, which its numbers also depend on: versions, commit and machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from alignbench.units import plural
from alignbench.weights.placement import device_for, visible_gpus
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


def share_out_gpus(worker: str, asked: str) -> None:
    """Let this worker see one of the caller's GPUs; to be called before torch looks for them.

    Args:
        worker: `gw0`, `gw1`, ...
        asked: the device as the user wrote it.
    """
    gpu = device_for(worker, tuple(gpu.name for gpu in visible_gpus()), asked)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu


def shared_gpus(workers: int, asked: str) -> str:
    """Return how xdist's workers share the GPUs, in words; "" if they don't.

    Args:
        workers: how many there are; 0 without them.
        asked: the device as the user wrote it.
    """
    gpus = tuple(gpu.name for gpu in visible_gpus()) if workers else ()
    if device_for("gw0", gpus, asked) is None:
        return ""
    return f"each of {plural(workers, 'worker')} uses one of {len(gpus)} GPUs, in turn"
