"""Embeddings of a dataset: cached on disk, and computed by models only if they are missing."""

from alignbench.embed.arrays import runs
from alignbench.embed.cache import DamagedShardWarning, EmbeddingStore, Shelf, default_root
from alignbench.embed.embedder import Embedder
from alignbench.embed.progress import Progress, SilentProgress
from alignbench.embed.several import extract_multi_encoder
from alignbench.embed.stored import Stored
from alignbench.embed.task import gives

__all__ = [
    "DamagedShardWarning",
    "Embedder",
    "EmbeddingStore",
    "Progress",
    "Shelf",
    "SilentProgress",
    "Stored",
    "default_root",
    "extract_multi_encoder",
    "gives",
    "runs",
]
