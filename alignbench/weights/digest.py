"""The identity of a model's files: by content if that is quick, by headers and times if it is not."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import math
from typing import TYPE_CHECKING, Any

from alignbench.weights.files import PREPROCESSING, check_regular, is_gguf
from alignbench.weights.headers import safetensors_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

# Reading more than this to find that nothing has changed would cost more than it saves.
READ_WHOLE = 1_000_000_000


def files_digest(files: Iterable[Path]) -> str:
    """Return the identity of these files: `sha256:...` of their content.

    From 1 GB in total, it is `header:...`: the safetensors header, size and modification time of each file.
    """
    ordered = sorted(files)
    for path in ordered:
        check_regular(path)
    states = [(path, path.stat()) for path in ordered]
    whole = sum(state.st_size for _, state in states) < READ_WHOLE
    digest = hashlib.sha256()
    for path, state in states:
        part = (
            _content(path, state.st_size, state.st_mtime_ns)
            if whole
            else f"{_head(path)}:{state.st_size}:{state.st_mtime_ns}"
        )
        digest.update(f"{path.name}\0{part}\0".encode())
    return f"{'sha256' if whole else 'header'}:{digest.hexdigest()}"


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's content, whatever its size."""
    check_regular(path)
    state = path.stat()
    return _content(path, state.st_size, state.st_mtime_ns)


def text_digest(value: Any) -> str:
    """Return the sha256 of `value` as canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def preprocessing_digest(folder: Path | None, packages: Sequence[str], **settings: object) -> str:
    """Return the identity of the processing from image or text to numbers.

    Args:
        folder: the folder of its files, if it has any.
        packages: the packages whose code takes part, by their names on PyPI.
        settings: everything else that changes it.
    """
    files = [] if folder is None else [folder / name for name in PREPROCESSING if (folder / name).is_file()]
    versions = {name: importlib.metadata.version(name) for name in packages}
    return text_digest({"files": files_digest(files), "versions": versions, **settings})


def tensor_names(files: Iterable[Path]) -> list[str]:
    """Return the names of the tensors in safetensors files, without reading the tensors.

    Raises:
        ModelError: a file is not a safetensors file, or is truncated.
    """
    return [name for path in files if path.suffix == ".safetensors" for name in safetensors_header(path)]


def parameter_count(files: Iterable[Path]) -> int:
    """Return how many numbers the files hold: exact for safetensors, otherwise estimated from the size."""
    return sum(_count(path) for path in files)


def _count(path: Path) -> int:
    if path.suffix == ".safetensors":
        return sum(math.prod(entry["shape"]) for entry in safetensors_header(path).values())
    # A pickle has 2 or 4 bytes per parameter; a GGUF file has about 5 bits.
    bits = 5 if is_gguf(path) else 32
    return path.stat().st_size * 8 // bits


def _head(path: Path) -> str:
    if path.suffix == ".safetensors":
        return text_digest(safetensors_header(path))
    with path.open("rb") as file:
        return hashlib.sha256(file.read(1 << 20)).hexdigest()


# The key includes size and time: a file that is rewritten during a run is read again.
@functools.lru_cache(maxsize=1024)
def _content(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
