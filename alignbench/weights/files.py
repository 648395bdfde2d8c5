"""Which files in a folder are a model's weights."""

from __future__ import annotations

import json
import re
import stat
from typing import TYPE_CHECKING, Any

from alignbench.errors import ModelError, WeightsMissingError
from alignbench.weights.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

TRANSFORMERS = "model.safetensors"
OPEN_CLIP = "open_clip_model.safetensors"
_PICKLES = {TRANSFORMERS: "pytorch_model.bin", OPEN_CLIP: "open_clip_pytorch_model.bin"}
ADAPTER = "adapter_config.json"
_INDEX = ".index.json"
CONFIGS = ("config.json", "open_clip_config.json")
# One of the former turns an image into pixels, one of the latter turns a text into tokens.
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json")
# All files that affect how an image or a text becomes numbers.
PREPROCESSING = (
    *PROCESSORS,
    *TOKENIZERS,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "vocab.txt",
    "sentencepiece.bpe.model",
    "tiktoken.model",
    "tekken.json",
)
_LARGEST_JSON = 100_000_000  # bytes; the index of a model with 100,000 tensors takes a tenth of that
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


def check_regular(path: Path) -> None:
    """Raise unless `path` is a regular file: opening a FIFO waits forever, and a device has no end.

    Raises:
        ModelError: it is something else, or does not exist.
    """
    with guarded(str(path), "can't be read"):
        kind = stat.S_IFMT(path.stat().st_mode)
    if kind != stat.S_IFREG:
        raise ModelError(
            f"{path}: {_KINDS.get(kind, 'not a file')} where a regular file is expected; put a copy there"
        )


def check_entries(folder: Path) -> None:
    """Raise if anything in a model's folder is neither file nor folder: a library might open it.

    Raises:
        ModelError: it holds a FIFO, a device or a socket, or a link to one.
    """
    with guarded(str(folder), "can't be read"):
        entries = sorted(folder.iterdir())
    for path in entries:
        # A link that leads nowhere is a missing file, which its reader reports.
        if path.exists() and not path.is_dir():
            check_regular(path)


def is_gguf(path: Path) -> bool:
    """Whether a file's name is that of a GGUF file, or of a piece of one (`model.gguf.part00`)."""
    return ".gguf" in path.suffixes


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        ModelError: it is not a regular file, can't be read, or holds something else.
    """
    check_regular(path)
    with guarded(str(path), "can't be read as JSON"):
        if (size := path.stat().st_size) > _LARGEST_JSON:
            raise ValueError(f"{size:,} bytes; at most {_LARGEST_JSON:,} are read")
        content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ModelError(f"{path}: expected a JSON object, got {type(content).__name__}")
    return content


# With these entries, a configuration directs transformers to other files, which nobody verifies or digests.
_LEADING_ELSEWHERE = ("transformers_weights", "configuration_files", "fast_tokenizer_files")


def check_leads_nowhere(config: Mapping[str, Any], name: str, where: str) -> None:
    """Raise if a configuration names files to read instead of the standard ones.

    Args:
        config: its content.
        name: the name of its file.
        where: the model's name, for errors.

    Raises:
        ModelError: it does; the message names the entry.
    """
    for key in _LEADING_ELSEWHERE:
        if config.get(key):
            raise ModelError(
                f"{where}: {key} in {name} names other files to read ({str(config[key])[:80]}), which is not "
                f"followed; give the files their usual names, and take the entry out"
            )


def is_transformers(config: Mapping[str, Any]) -> bool:
    """Whether a config.json belongs to a transformers model, whose preprocessing is in other files."""
    return "model_type" in config and "architecture" not in config


def choose_weights(names: Collection[str], *, prefer: str, allow_pickle: bool, where: str) -> str:
    """Return which of these file names holds the weights, or their index.

    Args:
        names: the names of all available files.
        prefer: `TRANSFORMERS` or `OPEN_CLIP`: a repository may hold both layouts.
        allow_pickle: whether a pickle is acceptable.
        where: the model's name, for errors.

    If a layout exists both as one file and in parts, the one file is used, as in transformers.

    Raises:
        ModelError: there is only a pickle and that is not allowed; or the file is an adapter.
        WeightsMissingError: there are no weights.
    """
    if ADAPTER in names:
        raise ModelError(
            f"{where}: an adapter ({ADAPTER}) changes the weights of another model, and is not applied here; "
            f"adapter: merge it first (with peft: PeftModel.from_pretrained(BASE, FOLDER).merge_and_unload()"
            f".save_pretrained(NEW)) and give the folder of the merged model, with its tokenizer or processor"
        )
    layouts = (prefer, *(name for name in _PICKLES if name != prefer))
    candidates = [c for name in layouts for c in (name, name + _INDEX) if c in names]
    if candidates:
        return candidates[0]
    pickles = [c for name in layouts for c in (_PICKLES[name], _PICKLES[name] + _INDEX) if c in names]
    if pickles and allow_pickle:
        return pickles[0]
    if pickles:
        raise ModelError(
            f"{where}: the weights are a pickle ({pickles[0]}), which may run code when it is read; "
            f"convert them to safetensors, or give --align-allow-pickle"
        )
    raise WeightsMissingError(f"{where}: no {prefer}, and no index of one")


def is_index(name: str) -> bool:
    """Whether a file of weights only says which other files hold them."""
    return name.endswith(_INDEX)


def shards(index: Mapping[str, Any], wanted: tuple[str, ...] | None, *, name: str, where: str) -> list[str]:
    """Return the files that an index names, or those that hold a key with one of the `wanted` prefixes.

    Nothing else reads an index: transformers gets the tensors of these files and never sees the index.

    Args:
        index: its content.
        wanted: prefixes of the keys that are needed; None for all keys.
        name: the name of the index; its parts have the suffix of the single file that it replaces.
        where: the model's name, for errors.

    Raises:
        ModelError: it names anything other than files of its own kind in its own folder.
    """
    keys = index.get("weight_map")
    if not isinstance(keys, dict) or not keys:
        raise ModelError(f"{where}: {name} has no weight_map that says which file holds which weight")
    ending = name.removesuffix(_INDEX).rpartition(".")[2]
    for key, file in keys.items():
        # No path separator of any system, no drive, no hidden file, no control character.
        if not isinstance(file, str) or not re.fullmatch(rf"[\w-][\w .+-]*\.{ending}", file):
            raise ModelError(
                f"{where}: {name} says that {key[:80]!r} is in {str(file)[:80]!r}; expected the plain name "
                f"of a .{ending} file beside it, so it is refused"
            )
    chosen = {file for key, file in keys.items() if wanted is None or key.startswith(wanted)}
    if not chosen:
        raise ModelError(f"{where}: {name} names no weights that start with {' or '.join(wanted or ())}")
    return sorted(chosen)


def weight_files(
    folder: Path, *, wanted: tuple[str, ...] | None, prefer: str, allow_pickle: bool, where: str
) -> tuple[Path, ...]:
    """Return the weight files of a folder, in order of name.

    Exactly these files are digested and loaded. They may be links, as in the Hub's cache, where every file of
    a snapshot links into `blobs`: the digest is of the content that they lead to.

    Args:
        folder: a `save_pretrained` folder or a snapshot of the Hub's cache.
        wanted: prefixes of the keys that are needed; None for all keys.
        prefer: the layout to use if there are several.
        allow_pickle: whether `pytorch_model.bin` is acceptable.
        where: the model's name, for errors.

    Raises:
        ModelError: there is only a pickle and that is not allowed; it is an adapter; or an index names files
            other than weights in its folder.
        WeightsMissingError: there are no weights, or some of the shards are missing.
    """
    if folder.is_dir():
        check_entries(folder)
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    chosen = choose_weights(names, prefer=prefer, allow_pickle=allow_pickle, where=where)
    files = [chosen]
    if is_index(chosen):
        files = shards(read_json(folder / chosen), wanted, name=chosen, where=where)
    # A link that leads nowhere is missing; a pipe or a device is not a file, and reading it would block.
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise WeightsMissingError(
            f"{where}: {len(missing)} of {len(files)} weight files missing, as {missing[0]!r}"
        )
    return tuple(folder / name for name in files)
