"""Which files of a folder are a model's weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from alignbench.errors import ModelError, WeightsMissingError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

TRANSFORMERS = "model.safetensors"
OPEN_CLIP = "open_clip_model.safetensors"
_PICKLES = {TRANSFORMERS: "pytorch_model.bin", OPEN_CLIP: "open_clip_pytorch_model.bin"}
CONFIGS = ("config.json", "open_clip_config.json")
# One of these makes pixels of an image, one of those makes tokens of a text.
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json")
# All that changes how an image or a text becomes numbers.
PREPROCESSING = (
    *PROCESSORS,
    *TOKENIZERS,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        ModelError: it can't be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: can't be read as JSON ({error})") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: expected a JSON object, got {type(content).__name__}")
    return content


def is_transformers(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is that of a transformers model, which has its preprocessing in other files."""
    return "model_type" in config and "architecture" not in config


def choose_weights(names: Collection[str], *, prefer: str, allow_pickle: bool, where: str) -> str:
    """Return which of these file names holds the weights, or their index.

    Args:
        names: of all files that there are.
        prefer: `TRANSFORMERS` or `OPEN_CLIP`: a repository may hold both layouts.
        allow_pickle: whether a pickle will do.
        where: what to call it in errors.

    Raises:
        ModelError: there is only pickle, and that is not allowed.
        WeightsMissingError: there are no weights.
    """
    layouts = (prefer, *(name for name in _PICKLES if name != prefer))
    candidates = [c for name in layouts for c in (f"{name}.index.json", name) if c in names]
    if candidates:
        return candidates[0]
    pickles = [c for name in layouts for c in (f"{_PICKLES[name]}.index.json", _PICKLES[name]) if c in names]
    if pickles and allow_pickle:
        return pickles[0]
    if pickles:
        raise ModelError(
            f"{where}: the weights are a pickle ({pickles[0]}), which may run code when it is read; "
            f"convert them to safetensors, or give --align-allow-pickle"
        )
    raise WeightsMissingError(f"{where}: no {prefer}, and no index of one")


def shards(index: Mapping[str, Any], wanted: tuple[str, ...] | None) -> list[str]:
    """Return the files that an index names, or those that hold a key with one of the `wanted` prefixes."""
    keys: Mapping[str, str] = index["weight_map"]
    chosen = {file for key, file in keys.items() if wanted is None or key.startswith(wanted)}
    # A name that climbs out of the folder is nobody's shard.
    return sorted(name for name in chosen if "/" not in name and "\\" not in name)


def weight_files(
    folder: Path, *, wanted: tuple[str, ...] | None, prefer: str, allow_pickle: bool, where: str
) -> tuple[Path, ...]:
    """Return the weight files of a folder, in order of name.

    Args:
        folder: a `save_pretrained` folder or a snapshot of the Hub's cache.
        wanted: prefixes of the keys that are needed; None for all.
        prefer: the layout to take where there are several.
        allow_pickle: whether `pytorch_model.bin` will do.
        where: what to call it in errors.

    Raises:
        ModelError: there is only pickle, and that is not allowed.
        WeightsMissingError: weights, or some of the shards, are not there.
    """
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    chosen = choose_weights(names, prefer=prefer, allow_pickle=allow_pickle, where=where)
    files = shards(read_json(folder / chosen), wanted) if chosen.endswith(".index.json") else [chosen]
    missing = [name for name in files if name not in names]
    if missing:
        raise WeightsMissingError(
            f"{where}: {len(missing)} of {len(files)} weight files missing, as {missing[0]!r}"
        )
    return tuple(folder / name for name in files)
