"""The LLMs by name, and `resolve`: from what a user wrote to a handle."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from alignbench.errors import ModelError
from alignbench.llms import families
from alignbench.llms.base import LLM, Options, Quantization
from alignbench.llms.gguf import gguf_source
from alignbench.registry import Registry
from alignbench.weights.arrays import arrays
from alignbench.weights.custom import Custom, adopt
from alignbench.weights.files import TOKENIZERS
from alignbench.weights.recipe import Recipe, at_hand, embedded_source, folder_source, plain_source
from alignbench.weights.source import FolderSource, HubSource
from alignbench.weights.spec import Spec, parse_spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.weights.source import Source

# An entry is a Recipe (ours), or anything with embed(texts): an object, a class or a function that makes one.
LLMS: Registry[Any] = Registry("LLM", "alignbench.llms")
for _name, _recipe in {
    "llama": Recipe("llama", stand_in="mini-llama"),
    "llama3": Recipe("llama", stand_in="mini-llama"),
    "qwen": Recipe("qwen", stand_in="mini-qwen"),
    "gemma3": Recipe("gemma3"),
    "internlm": Recipe("internlm"),
    "mini-llama": Recipe("llama", "embedded", embedded="mini-llama"),
    "mini-qwen": Recipe("qwen", "embedded", embedded="mini-qwen"),
}.items():
    LLMS.add(_name, _recipe)

_BY_NAME = {
    family.name: family for family in (families.LLAMA, families.QWEN, families.GEMMA3, families.INTERNLM)
}


def resolve(
    spec: str,
    *,
    layer: int = -1,
    max_length: int = 128,
    l2: bool = True,
    quantization: Quantization | None = None,
    standins: bool = False,
    allow_pickle: bool = False,
    sources: Mapping[str, str] | None = None,
) -> LLM | Custom:
    """Return the LLM that `spec` names, as a handle that has loaded nothing yet.

    Args:
        spec: `[alias=]` a name, `hf:org/name[@revision]`, a folder, `gguf:file.gguf`, `npy:file.npy`.
        layer: a hidden layer (0: embeddings; -1: last, after the final norm).
        max_length: tokens of a text that are read.
        l2: whether `embed` gives rows of unit length.
        quantization: "4bit" or "8bit" weights, on CUDA.
        standins: whether the built-in toy model of the same family may run where the weights are not at hand.
        allow_pickle: whether weights may be a pickle (read with `weights_only=True`).
        sources: name -> Hub repository or folder; None for the configuration's.

    Raises:
        UnknownNameError: nobody knows that name.
        ConfigError: the alias or the form of the spec is wrong.
        ModelError: the family has no embedded stand-in; or a registered object, or arrays, are asked for
            another layer, max_length or quantization than the default.
        WeightsMissingError: the folder or file is not there.
    """
    known = _configured() if sources is None else sources
    parsed = parse_spec(spec, "LLM", [*LLMS.names(), *known])
    options = Options(layer, max_length, l2, quantization)
    if parsed.kind == "npy":
        return arrays(parsed, "text", l2=l2, asked=options.asked())
    if parsed.kind != "name":
        family, source = _from_spec(parsed, allow_pickle=allow_pickle)
        return LLM(parsed.alias, source, options, family=family)
    entry = LLMS.get(parsed.target) if parsed.target in LLMS else Recipe("")
    if not isinstance(entry, Recipe):
        made = entry() if inspect.isclass(entry) or inspect.isfunction(entry) else entry
        return adopt(made, parsed.alias, "text", l2=l2, asked=options.asked())
    if entry.embedded is not None:
        source = embedded_source(entry.embedded)
        return LLM(parsed.alias, source, options, family=_BY_NAME[entry.family], weights=entry.weights)
    if parsed.target not in known:
        raise ModelError(f"{parsed.target}: the configuration names no repository for it (llms:)")
    target = known[parsed.target]
    source = plain_source(
        target, name=parsed.alias, stand_in=entry.stand_in, allow_pickle=allow_pickle, needs=TOKENIZERS
    )
    # A folder says itself what it is, whatever the name that the configuration gave it.
    family = None if isinstance(source, FolderSource) else _BY_NAME.get(entry.family)
    handle = LLM(parsed.alias, source, options, family=family)
    if not standins or at_hand(source, handle.wanted):
        return handle
    if entry.stand_in is None:
        raise ModelError(
            f"{parsed.alias}: there is no built-in toy model of its family that could stand in for it"
        )
    return LLM(
        entry.stand_in,
        embedded_source(entry.stand_in),
        options,
        family=_BY_NAME[entry.family],
        weights="stand-in",
        stand_in_for=parsed.alias,
    )


def _from_spec(parsed: Spec, *, allow_pickle: bool) -> tuple[families.Family | None, Source]:
    if parsed.kind == "hf":
        return None, HubSource(
            parsed.target, parsed.detail, parsed.alias, allow_pickle=allow_pickle, needs=TOKENIZERS
        )
    if parsed.kind == "folder":
        return None, folder_source(parsed.target, allow_pickle=allow_pickle)
    if parsed.kind == "gguf":
        source = gguf_source(parsed.target)
        return replace(families.GGUF, name=families.name_of(source.config())), source
    raise ModelError(f"{parsed.alias}: a {parsed.kind} model is no LLM; give it to --encoders")


def _configured() -> Mapping[str, str]:
    from alignbench.config import load_config

    return load_config().llms
