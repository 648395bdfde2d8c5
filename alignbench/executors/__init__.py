"""Where work on shards of the data is done: in this process, or by the workers of a Ray cluster."""

from alignbench.executors.base import Executor, Local, Piece, Work
from alignbench.executors.shards import SHARD_ROWS, Shard, cut
from alignbench.executors.tree import MergeTree, merge_tree

EXECUTORS = ("local", "ray")

__all__ = [
    "EXECUTORS",
    "SHARD_ROWS",
    "Executor",
    "Local",
    "MergeTree",
    "Piece",
    "Shard",
    "Work",
    "cut",
    "merge_tree",
]
