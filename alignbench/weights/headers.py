"""The header of a safetensors file: its list of tensors, checked without reading one."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

from alignbench.errors import ModelError
from alignbench.weights.files import check_regular

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST_HEADER = 100_000_000
_LENGTH = struct.Struct("<Q")


def safetensors_header(path: Path) -> dict[str, Any]:
    """Return the table of a safetensors file: name -> dtype, shape, offsets.

    Raises:
        ModelError: it is not a safetensors file, or is truncated.
    """
    check_regular(path)
    try:
        with path.open("rb") as file:
            (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
            size = path.stat().st_size - _LENGTH.size - length
            if length > _LARGEST_HEADER or size < 0:
                raise ValueError(f"a header of {length} bytes")
            table = json.loads(file.read(length))
        if not isinstance(table, dict):
            raise ValueError("the header is no object")
        table.pop("__metadata__", None)
        ends = [_end(entry) for entry in table.values()]
    except (OSError, struct.error, ValueError, RecursionError) as error:
        raise ModelError(
            f"{path.name} in {path.parent} is not a safetensors file, or a cut-off one"
        ) from error
    if (expected := max(ends, default=0)) != size:
        raise ModelError(
            f"{path.name} in {path.parent} is cut off or damaged: its header tells of {expected:,} bytes of "
            f"tensors, and there are {size:,}; download or copy it again"
        )
    return table


def _end(entry: Any) -> int:
    """Return the offset of the end of a tensor's bytes.

    Raises:
        ValueError: the entry does not describe a tensor.
    """
    match entry:
        case {"shape": list(shape), "data_offsets": [start, end]}:
            if all(type(n) is int and n >= 0 for n in (*shape, start, end)):
                return int(end)
    raise ValueError("an entry of the header is not that of a tensor")
