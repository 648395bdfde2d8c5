"""The memory that tensors take on a device at their peak, counted where the device does not say it."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    from collections.abc import Callable


class Allocated(TorchDispatchMode):
    """Counts the bytes of the tensors that operations make inside the block, as long as they live."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, operation: Any, kinds: Any, arguments: Any = (), named: Any = None) -> Any:
        """Run an operation, and count what it returns."""
        made = operation(*arguments, **(named or {}))
        taken = {
            id(t.untyped_storage()) for t in tree_leaves((arguments, named)) if isinstance(t, torch.Tensor)
        }
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if id(storage) not in taken and id(storage) not in self._known:
                    self._count(storage)
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        size, key = storage.nbytes(), id(storage)

        def freed(_: object) -> None:
            self.now -= size
            self._known.pop(key, None)

        self._known[key] = weakref.ref(storage, freed)
        self.now += size
        self.peak = max(self.peak, self.now)


def peak_of(call: Callable[[], object], device: str) -> int:
    """Return the bytes of tensors on a device at the peak of a call, beside those that were there before.

    On CUDA, torch's allocator says it; elsewhere, the tensors that the call makes are counted.
    """
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
        before: int = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        torch.cuda.synchronize(device)
        peak: int = torch.cuda.max_memory_allocated(device)
        return peak - before
    counted = Allocated()
    with counted:
        call()
    return counted.peak
