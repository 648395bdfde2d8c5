"""LLMs as text encoders: `resolve("llama")`, `resolve("mine=hf:org/name", layer=12)`.

Nothing here imports torch or transformers before a model is loaded.
"""

from alignbench.llms.base import LLM, Options
from alignbench.llms.catalog import LLMS, resolve

__all__ = ["LLM", "LLMS", "Options", "resolve"]
