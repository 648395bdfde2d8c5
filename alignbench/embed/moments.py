"""The moments of two models' vectors: of fixed shards, merged in a fixed tree, here or by workers."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from alignbench.embed.cache import EmbeddingStore
from alignbench.embed.embedder import Embedder
from alignbench.embed.models import info_of
from alignbench.errors import WorkerLostError
from alignbench.executors import MergeTree, Piece, cut
from alignbench.metrics.moments import Moments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from alignbench.datasets import Dataset
    from alignbench.types import Embeddings
    from alignbench.weights.protocols import Model


def moments_of(embedder: Embedder, x: Model, y: Model, dataset: Dataset) -> Moments:
    """Return the moments of two models' vectors of a dataset, with its types as classes.

    The shards of the data and the tree that merges their moments depend on nothing but the number of samples
    and `embedder.shard_rows`, so the result has the same bits whoever computes it and in whichever order.

    Args:
        embedder: embeds what is missing.
        x: an encoder, or its vectors as an array.
        y: an LLM, or its vectors as an array.
        dataset: the samples.

    Raises:
        WeightsMissingError, ModelError, DataError: see `Embedder.images` and `Embedder.texts`.
        WorkerLostError: a shard was lost with its worker twice, or a worker does not see the store.
    """
    shards = cut(range(len(dataset)), embedder.shard_rows, len(dataset))
    tree = MergeTree(len(shards), Moments.merge)
    workers = embedder.elsewhere
    if workers is None or not (embedder.fill(x, dataset) and embedder.fill(y, dataset)):
        rows = embedder.shard_rows
        blocks = zip(embedder.blocks(x, dataset, rows), embedder.blocks(y, dataset, rows), strict=True)
        for shard, (vision, text) in zip(shards, blocks, strict=True):
            tree.add(shard.number, _moments(vision, text, dataset.labels[shard.start : shard.stop]))
        return tree.result()
    parts = [replace(dataset, samples=dataset.samples[s.start : s.stop], usable_rows=None) for s in shards]
    work = MomentsWork(x, y, embedder.store.root, embedder.device, embedder.dtype, _blas_threads())
    pieces = [Piece(shard.name, part) for shard, part in zip(shards, parts, strict=True)]
    for place, moments in workers.each(work, pieces):
        tree.add(place, moments)
    return tree.result()


@dataclass(frozen=True, slots=True)
class MomentsWork:
    """The moments of a part of the data, from vectors that are in the store.

    Args:
        x: the encoder, which is not loaded.
        y: the LLM, which is not loaded.
        root: the folder of the store, which all workers see.
        device: the device that was asked for.
        dtype: the arithmetic that was asked for.
        threads: the number of threads of matrix products, on which the last digits may depend.
    """

    x: Model
    y: Model
    root: Path
    device: str
    dtype: str
    threads: int

    @property
    def name(self) -> str:
        """Both models'."""
        return f"moments of {info_of(self.x, 'vision').name} and {info_of(self.y, 'text').name}"

    @contextmanager
    def opened(self) -> Iterator[Callable[[Dataset], Moments]]:
        """Return the function that computes the moments of a part of the data."""
        from threadpoolctl import threadpool_limits

        embedder = Embedder(EmbeddingStore(self.root), self.device, self.dtype)

        def moments(part: Dataset) -> Moments:
            for model in (self.x, self.y):
                if missing := embedder.count_missing(model, part):
                    raise WorkerLostError(
                        f"{self.name}: a worker misses {missing} of {len(part)} vectors in {self.root}: all "
                        "nodes have to see the same folder, --align-cache-dir"
                    )
            vision, text = (next(embedder.blocks(model, part, len(part))) for model in (self.x, self.y))
            return _moments(vision, text, part.labels)

        with threadpool_limits(self.threads, user_api="blas"):
            yield moments


def _moments(x: Embeddings, y: Embeddings, labels: tuple[str, ...]) -> Moments:
    return Moments.from_arrays(x.values, y.values, labels)


def _blas_threads() -> int:
    from threadpoolctl import threadpool_info

    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)
