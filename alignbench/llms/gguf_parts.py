"""GGUF models in several files: the parts of a split one, or pieces of a file that was cut anywhere."""

from __future__ import annotations

import math
import re
import shutil
import struct
from typing import TYPE_CHECKING

from alignbench.errors import ModelError, WeightsMissingError
from alignbench.llms.gguf_header import MAGIC, number, read_header

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alignbench.llms.gguf_header import Header, Tensor

_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")


def all_parts(file: Path) -> tuple[Path, ...]:
    """Return the files of a GGUF model: the file itself, or every part of a split one.

    Args:
        file: the single file, or any of the parts.

    Raises:
        ModelError: the parts contradict each other, or their names don't say where the others are.
        WeightsMissingError: a part is missing.
    """
    header = read_header(file)
    count = number(header.values, "split.count")
    if count <= 1:
        _check_count(file, header, len(header.tensors))
        return (file,)
    named = _PART.fullmatch(file.name)
    if named is None or int(named[3]) != count:
        raise ModelError(
            f"{file}: one of {count} parts of a split file, but not called NAME-00001-of-{count:05}.gguf, so "
            f"the others can't be found; give it back its name, or merge them (llama-gguf-split --merge)"
        )
    parts = tuple(file.with_name(f"{named[1]}-{i:05}-of-{count:05}.gguf") for i in range(1, count + 1))
    lacking = [part.name for part in parts if not part.is_file()]
    if lacking:
        raise WeightsMissingError(
            f"{file}: {len(lacking)} of {count} parts are not in {file.parent}, as {lacking[0]}; without "
            f"them its weights would be random"
        )
    _check_parts(parts)
    return parts


def in_pieces(files: Sequence[Path]) -> bool:
    """Whether files are one GGUF file that was cut anywhere, and not the parts of a split one."""
    return len(files) > 1 and files[0].suffix != ".gguf"


def first_header(files: Sequence[Path]) -> Header:
    """Return the header of a model's first file.

    Raises:
        ModelError: it is not a GGUF file, or it is truncated or contradicts itself.
    """
    whole = sum(file.stat().st_size for file in files) if in_pieces(files) else None
    return read_header(files[0], whole)


def _check_parts(parts: Sequence[Path]) -> None:
    headers = [read_header(part) for part in parts]
    for i, (part, header) in enumerate(zip(parts, headers, strict=True)):
        place = (number(header.values, "split.no"), number(header.values, "split.count"))
        if place != (i, len(parts)):
            raise ModelError(
                f"{part}: by its name it is part {i + 1} of {len(parts)}, but it says that it is part "
                f"{place[0] + 1} of {place[1]}; download it again"
            )
    names = [tensor.name for header in headers for tensor in header.tensors]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ModelError(f"{parts[0]}: two of its {len(parts)} parts hold the tensor {twice!r}")
    for part, header in zip(parts, headers, strict=True):
        _check_count(part, header, len(names))


def _check_count(file: Path, header: Header, actual: int) -> None:
    said = number(header.values, "split.tensors.count", actual)
    if said != actual:
        raise ModelError(
            f"{file}: it says that the model has {said} tensors, and there are {actual}; download it again"
        )


def check_data(file: Path) -> None:
    """Raise unless the data of every tensor is there, and no two overlap.

    Raises:
        ModelError: the file is truncated, tensors overlap, or one is of an unknown type.
    """
    import gguf

    header, end, before = read_header(file), 0, ""
    for tensor in sorted(header.tensors, key=lambda tensor: tensor.offset):
        try:
            block, width = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(tensor.kind)]
        except (ValueError, KeyError) as error:
            raise ModelError(
                f"{file}: its tensor {tensor.name!r} is of a type ({tensor.kind}) that the gguf package does "
                f"not know; a newer one may"
            ) from error
        if tensor.offset < end:
            raise ModelError(f"{file}: its tensors {before!r} and {tensor.name!r} overlap; download it again")
        end, before = tensor.offset + -(-math.prod(tensor.shape) // block) * width, tensor.name
        if header.data + end > header.size:
            raise ModelError(f"{file}: it is cut off within its tensor {tensor.name!r}; download it again")


def put_together(pieces: Sequence[Path], target: Path) -> None:
    """Write the file that was cut into these pieces."""
    with target.open("wb") as out:
        for piece in pieces:
            with piece.open("rb") as content:
                shutil.copyfileobj(content, out, 1 << 24)


def join(parts: Sequence[Path], target: Path) -> None:
    """Merge all parts into one GGUF file: the entries of the first, the tensors of all.

    Raises:
        ModelError: a part can't be read.
    """
    headers = [read_header(part) for part in parts]
    alignment = headers[0].alignment
    moved: list[tuple[Tensor, int]] = []
    starts: list[int] = []
    end = 0
    for header in headers:
        start = -(-end // alignment) * alignment
        starts.append(start)
        moved += [(tensor, start + tensor.offset) for tensor in header.tensors]
        end = start + header.size - header.data
    with target.open("wb") as out:
        out.write(MAGIC + struct.pack("<IQQ", headers[0].version, len(moved), headers[0].entries))
        with parts[0].open("rb") as first:
            first.seek(24)
            out.write(first.read(headers[0].entries_end - 24))
        for tensor, offset in moved:
            name = tensor.name.encode()
            out.write(struct.pack("<Q", len(name)) + name)
            out.write(struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape))
            out.write(struct.pack("<IQ", tensor.kind, offset))
        data = -(-out.tell() // alignment) * alignment
        for part, header, start in zip(parts, headers, starts, strict=True):
            out.write(b"\0" * (data + start - out.tell()))
            with part.open("rb") as content:
                content.seek(header.data)
                shutil.copyfileobj(content, out, 1 << 24)
