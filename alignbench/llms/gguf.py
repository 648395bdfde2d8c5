"""GGUF files: read once, kept as safetensors. Reading them takes some twenty times as long."""

from __future__ import annotations

import importlib.util
import os
import shutil
import struct
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignbench import paths
from alignbench.errors import ModelError, WeightsMissingError
from alignbench.weights.digest import files_digest, text_digest
from alignbench.weights.files import read_json, weight_files
from alignbench.weights.source import Located, Source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import BufferedReader

    from alignbench.llms.base import Options
    from alignbench.llms.decoder import Decoder
    from alignbench.weights.precision import Precision

_CONVERSION = 2  # raised whenever a file converts to something else
_LONGEST_NAME = 1000


@dataclass(frozen=True)
class GgufSource(Source):
    """One GGUF file.

    Args:
        file: the file.
        label: what scores call it.
    """

    file: Path
    label: str

    def config(self) -> dict[str, Any]:
        """Return the architecture that the file names, as `model_type`."""
        return {"model_type": architecture(self.file)}

    def locate(self, wanted: tuple[str, ...] | None = None) -> Located:
        """Find the file."""
        if not self.file.is_file():
            raise WeightsMissingError(f"{self.label}: there is no file {self.file}")
        return Located(self.label, self.file.parent, (self.file,), files_digest([self.file]))


def gguf_source(target: str) -> GgufSource:
    """Return the source of `gguf:file.gguf`.

    Raises:
        WeightsMissingError: there is no such file.
    """
    file = Path(target).expanduser()
    if not file.is_file():
        raise WeightsMissingError(f"there is no GGUF file {target}")
    return GgufSource(file.resolve(), f"gguf:{target}")


def architecture(file: Path) -> str:
    """Return what the first entries of a GGUF file call its architecture ("llama", "qwen2", ...).

    Raises:
        ModelError: it is not a GGUF file, or it names none there.
    """
    try:
        with file.open("rb") as stream:
            magic, version, _, entries = struct.unpack("<4sIQQ", stream.read(24))
            if magic != b"GGUF" or version < 2:
                raise ValueError("no GGUF header")
            for _ in range(min(entries, 8)):
                key, kind = _text(stream), struct.unpack("<I", stream.read(4))[0]
                if kind != _STRING:
                    stream.seek(_WIDTHS[kind], os.SEEK_CUR)
                elif key == "general.architecture":
                    return _text(stream)
                else:
                    _text(stream)
    except (OSError, struct.error, ValueError, KeyError) as error:
        raise ModelError(f"{file} is not a GGUF file that can be read here ({error})") from error
    raise ModelError(f"{file}: no general.architecture among its first entries")


_STRING = 8
_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


def _text(stream: BufferedReader) -> str:
    (length,) = struct.unpack("<Q", stream.read(8))
    if length > _LONGEST_NAME:
        raise ValueError(f"a name of {length} bytes")
    return stream.read(length).decode("utf-8")


def converted(located: Located) -> Path:
    """Return the folder with a GGUF file as safetensors, made on the first call.

    Raises:
        ModelError: the `gguf` package is missing, or transformers can't read the file.
    """
    key = text_digest([located.revision, _CONVERSION])[:32]
    folder = paths.cache_home() / "converted" / key
    if not (folder / "config.json").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as making:
            made = Path(making) / "model"
            _convert(located.weights[0], made)
            # Another process may have been faster; its folder is as good.
            if not folder.exists():
                shutil.move(made, folder)
    return folder


def _convert(file: Path, folder: Path) -> None:
    import torch

    from alignbench.weights.loading import one_line, quiet, transformers_class

    if importlib.util.find_spec("gguf") is None:
        raise ModelError(f'{file}: reading GGUF needs a package: pip install "alignbench[gguf]"')
    with quiet():
        try:
            model = transformers_class("AutoModelForCausalLM").from_pretrained(
                file.parent,
                gguf_file=file.name,
                dtype=torch.float32,
                local_files_only=True,
                trust_remote_code=False,
            )
            tokenizer = transformers_class("AutoTokenizer").from_pretrained(
                file.parent, gguf_file=file.name, local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError, RuntimeError, NotImplementedError) as error:
            raise ModelError(f"{file}: transformers can't read it ({one_line(error)})") from error
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        # A model of its own: the one that was read remembers that it was quantized, and would not be saved.
        plain = type(model)(model.config)
        plain.load_state_dict(model.state_dict())
        plain.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def load(
    located: Located,
    config: Mapping[str, Any],
    options: Options,
    device: str,
    precision: Precision,
    *,
    spread: bool,
    head: bool = False,
) -> Decoder:
    """Load a GGUF file, by way of its safetensors."""
    from alignbench.llms import decoder

    folder = converted(located)
    files = weight_files(
        folder, wanted=None, prefer="model.safetensors", allow_pickle=False, where=located.source
    )
    there = replace(located, folder=folder, weights=files)
    return decoder.load(
        there, read_json(folder / "config.json"), options, device, precision, spread=spread, head=head
    )
