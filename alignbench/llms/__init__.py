"""LLMs as text encoders: `resolve("llama")`, `resolve("mine=hf:org/name", layer=12)`.

Nothing here imports torch or transformers before a model is loaded.
"""

from alignbench.llms.base import LLM
from alignbench.llms.catalog import LLMS, resolve
from alignbench.llms.options import LLMOptions

__all__ = ["LLM", "LLMS", "LLMOptions", "resolve"]
