"""Peers that are packages: they are installed into a temporary folder, and never become dependencies."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

# What each package is asked for with pip; resi and netrep are only in their repositories so far.
PACKAGES = {
    "torchmetrics": ("torchmetrics", "lightning-utilities"),
    "CLIP_benchmark": ("clip-benchmark",),
}
ROWS = 256  # queries at once, as CLIP_benchmark's own command does it: its memory is rows x k x columns


def install(folder: Path) -> dict[str, str]:
    """Install each package into `folder` without its dependencies; return why each that failed can't be used.

    The folder is put on the path of this process.
    """
    sys.path.append(str(folder))
    failed = {}
    for name, requirements in PACKAGES.items():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
        done = subprocess.run([*command, *requirements], capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            failed[name] = lines[-1].removeprefix("ERROR: ") if lines else f"exit status {done.returncode}"
    importlib.invalidate_caches()
    return failed


def recall_of_torchmetrics(k: int) -> Callable[[Matrix], float]:
    """Return the accuracy of the first k by torchmetrics: recall@k if row i belongs to column i."""
    accuracy: Any = importlib.import_module("torchmetrics.functional.classification").multiclass_accuracy
    import torch

    def score(scores: Matrix) -> float:
        n = len(scores)
        found = accuracy(torch.from_numpy(scores), torch.arange(n), num_classes=n, top_k=k, average="micro")
        return float(found)

    return score


def recall_of_clip_benchmark(k: int) -> Callable[[Matrix], float]:
    """Return recall@k by CLIP_benchmark, in blocks of rows."""
    recall: Any = importlib.import_module("clip_benchmark.metrics.zeroshot_retrieval").recall_at_k
    import torch

    def score(scores: Matrix) -> float:
        similarity, right = torch.from_numpy(scores), torch.eye(len(scores), dtype=torch.bool)
        starts = range(0, len(scores), ROWS)
        hits = [recall(similarity[i : i + ROWS], right[i : i + ROWS], k) for i in starts]
        return float((torch.cat(hits) > 0).double().mean())

    return score
