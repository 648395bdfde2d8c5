"""Large products of matrices, which a GPU computes where a run has one, in the same arithmetic."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

from alignbench.errors import AlignbenchWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    Real = TypeVar("Real", np.float32, np.float64)

CPU = "cpu"
WORTH = 2**28  # multiplications from which a GPU repays the way there and back

_DEVICE: ContextVar[str] = ContextVar("device of products", default=CPU)


@contextmanager
def products_on(device: str) -> Iterator[None]:
    """Return a context whose large products this device computes: "cpu", or a device of torch."""
    token = _DEVICE.set(device)
    try:
        yield
    finally:
        _DEVICE.reset(token)


def product(x: NDArray[Real], y: NDArray[Real]) -> NDArray[Real]:
    """Return XY [m, n] in the sides' own type, on the device of `products_on` if it is large.

    As everywhere in numpy, the product of a matrix with its own transpose is symmetric to the last bit.

    Args:
        x: [m, d].
        y: [d, n].
    """
    found = _on_device(x, y, _DEVICE.get()) if travels(x, y) else None
    if found is not None:
        return found
    result: NDArray[Real] = x @ y
    return result


def travels(x: NDArray[Real], y: NDArray[Real]) -> bool:
    """Return whether another device than the CPU would compute the product XY."""
    return _DEVICE.get() != CPU and x.shape[0] * x.shape[1] * y.shape[1] >= WORTH


def _on_device(x: NDArray[Real], y: NDArray[Real], device: str) -> NDArray[Real] | None:
    """Return XY as a device computes it; None without it, or if its memory is too small, which it says."""
    import torch

    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        return None  # vectors that were given as arrays can be scored without it
    own = _is_transposed(x, y)
    try:
        a = torch.tensor(x, device=device)
        found = a @ (a.T if own else torch.tensor(y, device=device))
        if own:  # torch does not promise that both halves are rounded alike
            found = torch.triu(found) + torch.triu(found, 1).T
        result: NDArray[Real] = found.cpu().numpy()
    except torch.OutOfMemoryError:
        size = f"{x.shape[0]:,} x {x.shape[1]:,} x {y.shape[1]:,}"
        warnings.warn(
            f"{device} has no memory for a product of {size} numbers; the CPU computes it",
            AlignbenchWarning,
            stacklevel=3,
        )
        return None
    return result


def _is_transposed(x: NDArray[Real], y: NDArray[Real]) -> bool:
    """Return whether `y` is a view of `x` transposed."""
    same = x.__array_interface__["data"] == y.__array_interface__["data"]
    return same and x.shape == y.shape[::-1] and x.strides == y.strides[::-1]
