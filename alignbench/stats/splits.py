"""Seeded splits of groups that depend only on the groups' names and the seed.

Groups are ordered by a hash of seed, purpose and name, and then cut. So every model of a run gets the same
halves, folds and blocks, whatever the order of the rows; and leaving out a few groups moves only a few others
across a border.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rng_for(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return a separate generator for each seed and purpose, the same on every machine.

    Never do arithmetic on seeds (`seed + number`): a run with the next seed would then draw the same numbers.
    """
    digest = hashlib.sha256("\0".join(map(str, (seed, *purpose))).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32).tolist())


def seed_for(seed: int, *purpose: str | int) -> int:
    """Return an integer seed below 2**31 by the same scheme, for torch, scikit-learn and UMAP."""
    return int(rng_for(seed, *purpose).integers(2**31))


def assign(groups: NDArray[np.str_], parts: int, seed: int, purpose: str) -> NDArray[np.intp]:
    """Return the part 0 … parts−1 of each row: a group is in one part, and parts are equally large (±1)."""
    names, member = np.unique(groups, return_inverse=True)
    order = _drawn(names, seed, purpose)
    part = np.empty(len(names), dtype=np.intp)
    for number, chunk in enumerate(np.array_split(order, parts)):
        part[chunk] = number
    result: NDArray[np.intp] = part[member.reshape(len(groups))]
    return result


def some_groups(groups: NDArray[np.str_], count: int, seed: int, purpose: str) -> NDArray[np.bool_]:
    """Return the mask of the rows of `count` of the groups; with a larger count, these are among them."""
    names, member = np.unique(groups, return_inverse=True)
    chosen = np.zeros(len(names), dtype=bool)
    chosen[_drawn(names, seed, purpose)[:count]] = True
    result: NDArray[np.bool_] = chosen[member.reshape(len(groups))]
    return result


def stratified_order(
    groups: NDArray[np.str_], classes: NDArray[np.str_], seed: int, purpose: str
) -> NDArray[np.intp]:
    """Return the place of each row's group, from 0, in an order whose every beginning is stratified.

    A group belongs to the class of its first row. The i-th of a class's m groups, in the order of a hash,
    comes at (i + ½) / m, so that the first groups have the classes in about the proportions of all.

    Args:
        groups: the group of each row [n].
        classes: the class of each row [n].
        seed: the seed of the order within a class.
        purpose: what the order is for.
    """
    names, first, member = np.unique(groups, return_index=True, return_inverse=True)
    kinds = classes[first]
    due = np.empty(len(names))
    drawn = _drawn(names, seed, purpose)
    for kind in np.unique(kinds):
        own = drawn[kinds[drawn] == kind]
        due[own] = (np.arange(len(own)) + 0.5) / len(own)
    place = np.empty(len(names), dtype=np.intp)
    place[drawn[np.argsort(due[drawn], kind="stable")]] = np.arange(len(names))
    result: NDArray[np.intp] = place[member.reshape(len(groups))]
    return result


def _drawn(names: NDArray[np.str_], seed: int, purpose: str) -> NDArray[np.intp]:
    """Return the positions of the names in a random order, which is that of a hash."""
    keys = [hashlib.sha256(f"{seed}\0{purpose}\0{name}".encode()).digest() for name in names]
    return np.asarray(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.intp)


def train_half(groups: NDArray[np.str_], seed: int) -> NDArray[np.bool_]:
    """Return the mask of rows in the train half: floor(G/2) of the G groups."""
    half: NDArray[np.bool_] = assign(groups, 2, seed, "half") == 1
    return half


def repeated_split(
    groups: NDArray[np.str_], seed: int, number: int, parts: int = 5
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the (train, test) masks of rows in the `number`-th of repeated splits.

    One group in `parts` is tested; each split is drawn independently, so two of them share test groups by
    chance.
    """
    test: NDArray[np.bool_] = assign(groups, parts, seed, f"split {number}") == 0
    return ~test, test


def one_per_group(groups: NDArray[np.str_], seed: int) -> NDArray[np.intp]:
    """Return one row of every group, drawn by `seed`, in the order of the rows."""
    rng = rng_for(seed, "one per group")
    shuffled = rng.permutation(len(groups))
    _, first = np.unique(groups[shuffled], return_index=True)
    rows: NDArray[np.intp] = np.sort(shuffled[first])
    return rows
