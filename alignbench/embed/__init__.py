"""Embeddings of a dataset: cached on disk, computed by models only where they are missing."""

from alignbench.embed.arrays import runs
from alignbench.embed.cache import DamagedShardWarning, EmbeddingStore, Shelf, default_root
from alignbench.embed.extract import (
    count_missing,
    embed_images,
    embed_layers,
    embed_patches,
    embed_texts,
    gives_layers,
    gives_patches,
)
from alignbench.embed.progress import Progress, Silent
from alignbench.embed.several import extract_multi_encoder

__all__ = [
    "DamagedShardWarning",
    "EmbeddingStore",
    "Progress",
    "Shelf",
    "Silent",
    "count_missing",
    "default_root",
    "embed_images",
    "embed_layers",
    "embed_patches",
    "embed_texts",
    "extract_multi_encoder",
    "gives_layers",
    "gives_patches",
    "runs",
]
