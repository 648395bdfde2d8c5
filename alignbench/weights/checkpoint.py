"""Any checkpoint of torch as one table of tensors, however its tables are nested."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from alignbench.errors import ModelError
from alignbench.paths import exists, is_file
from alignbench.weights.loading import read_tensors, unpickled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DEEPEST = 16  # tables in tables; a pickle may hold itself


def read_checkpoint(file: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a checkpoint in the file's order; tables in tables become `outer.inner.key`.

    Args:
        file: safetensors, or a pickle of torch, of which nothing but plain data is read.

    Raises:
        ModelError: it can't be read, would run code, or holds no tensors by name.
    """
    if not exists(file):
        raise ModelError(f"{file}: there is no such file")
    if is_file(file) and file.stat().st_size == 0:
        raise ModelError(f"{file}: it is empty; copy it again")
    if file.suffix == ".safetensors":
        return read_tensors([file])
    held = unpickled(file)
    tensors: dict[str, torch.Tensor] = {}
    for key, tensor in _flat(held, "", _DEEPEST):
        if key in tensors:
            raise ModelError(
                f"{file}: two of its tensors are called {key[:120]!r}; save one table of tensors"
            )
        tensors[key] = tensor
    if not tensors:
        raise ModelError(
            f"{file}: it holds no table of tensors by name ({type(held).__name__}); "
            f"save the model's state_dict()"
        )
    return tensors


def _flat(held: object, prefix: str, deepest: int) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the named tensors of a table and of its tables; what else training left there is no weight."""
    if not isinstance(held, dict) or deepest == 0:
        return
    for key, value in held.items():
        if isinstance(value, torch.Tensor) and isinstance(key, str):
            yield f"{prefix}{key}", value.detach()
        else:
            yield from _flat(value, f"{prefix}{key}.", deepest - 1)
