"""Work on shards of the data that others do: the workers of a Ray cluster."""

from alignbench.executors.base import Executor, Piece, Work
from alignbench.executors.shards import SHARD_ROWS, Shard, cut
from alignbench.executors.tree import MergeTree

EXECUTORS = ("local", "ray")

__all__ = [
    "EXECUTORS",
    "SHARD_ROWS",
    "Executor",
    "MergeTree",
    "Piece",
    "Shard",
    "Work",
    "cut",
]
