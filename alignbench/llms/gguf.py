"""GGUF files: read once, then kept as safetensors, because reading them takes some twenty times as long."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from alignbench import paths
from alignbench.errors import ModelError, WeightsMissingError
from alignbench.llms import conversions
from alignbench.llms.gguf_header import read_header
from alignbench.llms.gguf_parts import all_parts, check_data, first_header, in_pieces, join, put_together
from alignbench.weights.digest import files_digest, text_digest
from alignbench.weights.files import read_json, weight_files
from alignbench.weights.keys import check_names
from alignbench.weights.source import Location, Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alignbench.llms.decoder import Decoder
    from alignbench.llms.options import LLMOptions
    from alignbench.weights.request import LoadRequest

_CONVERSION = 3  # increased whenever a file converts to something else, or more is checked

# A model of that many layers would be built before the first tensor is missed.
_SIZES = {"num_hidden_layers": "block_count", "hidden_size": "embedding_length"}


@dataclass(frozen=True)
class GgufSource(Source):
    """A GGUF model: one file, or the parts of a split one.

    Args:
        file: the file, or any of the parts.
        label: its name in scores.
    """

    file: Path
    label: str

    def config(self) -> dict[str, Any]:
        """Return the file's architecture as `model_type`, and sizes under config.json's names."""
        return config_of(all_parts(self.file))

    def locate(self, wanted: tuple[str, ...] | None = None) -> Location:
        """Find the file, or all its parts."""
        if not self.file.is_file():
            raise WeightsMissingError(f"{self.label}: there is no file {self.file}")
        parts = all_parts(self.file)
        check_names(self.label, [tensor.name for part in parts for tensor in read_header(part).tensors])
        return Location(self.label, self.file.parent, parts, files_digest(parts))


def gguf_source(target: str) -> GgufSource:
    """Return the source of `gguf:file.gguf`.

    Raises:
        WeightsMissingError: there is no such file.
    """
    file = paths.user_path(target, "gguf")
    if not paths.is_file(file):
        raise WeightsMissingError(f"there is no GGUF file {target}")
    # A link keeps its name: in the Hub's cache, only links have the names that parts of a split file need.
    return GgufSource(file.absolute(), f"gguf:{target}")


def config_of(files: Sequence[Path]) -> dict[str, Any]:
    """Return a GGUF model's architecture ("llama", "qwen2", ...) as `model_type`, and its sizes.

    Args:
        files: the file, the parts of a split one, or the pieces of one.

    Raises:
        ModelError: it is not a GGUF file, or names no architecture.
    """
    values = first_header(files).values
    family = values.get("general.architecture")
    if not isinstance(family, str):
        raise ModelError(f"{files[0]}: no general.architecture among its entries")
    sizes = {ours: values.get(f"{family}.{theirs}") for ours, theirs in _SIZES.items()}
    return {"model_type": family, **{name: size for name, size in sizes.items() if size is not None}}


def converted(located: Location) -> Path:
    """Return the folder with a GGUF model as safetensors, created on the first call.

    Raises:
        ModelError: the `gguf` package is missing, transformers can't read the file, or its tensors are not
            exactly those of the model that it describes.
    """
    return conversions.kept(
        _key(located), located.weights[0].name, lambda folder: convert(located.weights, folder)
    )


def is_converted(located: Location) -> bool:
    """Return whether that folder exists, so that no conversion is necessary."""
    return (conversions.root() / _key(located)).is_dir()


def _key(located: Location) -> str:
    return text_digest([located.revision, _CONVERSION])[:32]


def convert(parts: tuple[Path, ...], folder: Path) -> None:
    """Write a GGUF model, which may be split or in pieces, as a folder in the transformers layout.

    Raises:
        ModelError: the package gguf is missing, or the file can't be converted.
    """
    if importlib.util.find_spec("gguf") is None:
        raise ModelError(f'{parts[0]}: reading GGUF needs a package: pip install "alignbench[gguf]"')
    from alignbench.llms.gguf_model import save_plain

    joined = folder / "joined.gguf"
    if in_pieces(parts):
        put_together(parts, joined)
        check_data(joined)
    else:
        for part in parts:
            check_data(part)
        if len(parts) == 1:
            save_plain(parts[0], parts[0], folder)
            return
        join(parts, joined)
    save_plain(joined, parts[0], folder)
    joined.unlink()


def load(request: LoadRequest[LLMOptions]) -> Decoder:
    """Load a GGUF file, by way of its safetensors."""
    from alignbench.llms import decoder

    folder = converted(request.located)
    files = weight_files(
        folder, wanted=None, prefer="model.safetensors", allow_pickle=False, where=request.located.source
    )
    there = replace(request.located, folder=folder, weights=files)
    return decoder.load(replace(request, located=there, config=read_json(folder / "config.json")))
