"""Vision encoders: `resolve("clip")`, `resolve("mine=hf:org/name", pooling="mean")`.

Nothing here imports torch or transformers before a model is loaded.
"""

from alignbench.encoders.base import Encoder
from alignbench.encoders.catalog import ENCODERS, resolve
from alignbench.encoders.options import EncoderOptions

__all__ = ["ENCODERS", "Encoder", "EncoderOptions", "resolve"]
