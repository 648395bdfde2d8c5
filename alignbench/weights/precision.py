"""Choosing the device and the arithmetic: without torch, so that a cached run never imports it."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from alignbench.errors import ModelError

DTYPES = ("auto", "float32", "bfloat16", "float16")
# From this size on, a GPU holds the weights in 16 bits: 32 would not fit, and large models tolerate it.
_LARGE = 4_000_000_000


@dataclass(frozen=True, slots=True)
class Precision:
    """The dtype of the weights, and the dtype in which autocast computes (None: no autocast)."""

    weights: str
    autocast: str | None = None

    @property
    def name(self) -> str:
        """Its name in scores and the cache's key: `float32`, `bfloat16`, `bfloat16-autocast`."""
        return f"{self.autocast}-autocast" if self.autocast else self.weights


def resolve_device(device: str) -> str:
    """Return `cpu`, `cuda[:i]` or `mps` for a requested device, which may be `auto`."""
    if device != "auto":
        return device
    if gpu_capability() is not None:
        return "cuda"
    return "mps" if (platform.system(), platform.machine()) == ("Darwin", "arm64") else "cpu"


def resolve_precision(
    device: str, dtype: str, parameters: int = 0, *, fp16_safe: bool = True, where: str = "model"
) -> Precision:
    """Return the arithmetic for a model with that many parameters.

    `auto` is bfloat16 if the hardware supports it: as autocast over float32 weights (pure 16-bit weights cost
    small models up to .03 of cosine), or in the weights on a GPU from 4e9 parameters on.

    Args:
        device: the device, as given by the user.
        dtype: "auto", "float32", "bfloat16" or "float16".
        parameters: the number for the whole checkpoint; 0 if it is unknown.
        fp16_safe: whether activations stay below 65,504.
        where: the model's name, for errors.

    Raises:
        ModelError: there is no such dtype, or it would give wrong numbers there.
    """
    if dtype not in DTYPES:
        raise ModelError(f"{where}: expected a dtype of {', '.join(DTYPES)}, got {dtype!r}")
    place = resolve_device(device).partition(":")[0]
    if dtype == "float16" and not fp16_safe:
        raise ModelError(f"{where}: float16 overflows in this family (embeddings become inf); use bfloat16")
    if dtype == "float16" and place == "cpu":
        raise ModelError(f"{where}: float16 is for GPUs; on a CPU use bfloat16 or float32")
    large = place == "cuda" and parameters >= _LARGE
    if dtype == "auto":
        dtype = _automatic(place, large and fp16_safe)
    if dtype == "float32":
        return Precision("float32")
    return Precision(dtype) if large else Precision("float32", autocast=dtype)


def _automatic(place: str, fp16_fits: bool) -> str:
    if place == "cpu":
        return "bfloat16" if cpu_has_bf16() else "float32"
    if place != "cuda":
        return "float32"
    if (gpu_capability() or 0.0) >= 8.0:
        return "bfloat16"
    return "float16" if fp16_fits else "float32"


@functools.cache
def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (otherwise it is slower than float32)."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


@functools.cache
def gpu_capability() -> float | None:
    """Return the compute capability of the first NVIDIA GPU that torch could use, or None."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in {"", "-1"}:
        return None
    command = shutil.which("nvidia-smi")
    try:
        if command is None or "+cpu" in importlib.metadata.version("torch"):
            return None
        answer = subprocess.run(
            [command, "--query-gpu=compute_cap", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        return float(answer.stdout.split()[0])
    except (
        OSError,
        subprocess.SubprocessError,
        ValueError,
        IndexError,
        importlib.metadata.PackageNotFoundError,
    ):
        return None
