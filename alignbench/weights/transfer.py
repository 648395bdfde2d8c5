"""From main memory to a GPU, beside what the GPU computes."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def sent(values: Tensor, device: str) -> Tensor:
    """Return a tensor on a CUDA device, complete; for any other device, leave it where it is.

    It is copied from pinned memory in a stream of its own: the copy waits for no kernel, and no kernel waits
    for it. Only the calling thread waits.

    Args:
        values: a tensor in main memory.
        device: "cpu", "cuda:0", ...
    """
    if not device.startswith("cuda"):
        return values
    stream = _copying(device)
    with torch.cuda.stream(stream):
        moved = values.pin_memory().to(device, non_blocking=True)
    stream.synchronize()
    # Its memory belongs to the copying stream, and must not be used again before the model has read it.
    moved.record_stream(torch.cuda.default_stream(device))
    return moved


@functools.cache
def _copying(device: str) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
