"""Copied rows: counting them as independent finds effects that are not there."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np

from alignbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

REPEATED = "repeated_rows"  # the flag of scores that count copies as separate samples
ROWS: Final = "rows"  # a value for groups: equal rows form one group


def first_equal(values: NDArray[np.generic]) -> NDArray[np.intp]:
    """Return for each row of `values` [n, d] the index of the first row that is equal to it."""
    first: dict[bytes, int] = {}
    found = np.empty(len(values), dtype=np.intp)
    for number, row in enumerate(values):
        # Zero has two signs, which compare equal. Digests avoid holding a large matrix twice.
        digest = hashlib.blake2b((row + row.dtype.type(0)).tobytes(), digest_size=16).digest()
        found[number] = first.setdefault(digest, number)
    return found


def repeats(values: NDArray[np.generic], groups: Sequence[str]) -> int:
    """Return how many rows equal an earlier one if every row is its own group; else 0.

    A user who groups rows has said which of them belong together.

    Args:
        values: [n, d].
        groups: the group of each row [n].
    """
    if len(set(groups)) < len(groups):
        return 0
    return len(values) - len(np.unique(first_equal(values)))


def groups_of_rows(arrays: Mapping[str, NDArray[np.generic]]) -> tuple[str, ...]:
    """Return groups [n] such that equal rows are in the same group, in every array.

    Rows that are equal in one array belong together, and so do all rows that are linked through such rows: if
    another image shares two of an image's five captions, both images' rows form one group.

    Args:
        arrays: name -> [n, d]; row i of each is the same sample.

    Raises:
        InputError: all rows would form one group.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    equal = {name: first_equal(values) for name, values in arrays.items()}
    n = len(next(iter(equal.values())))
    links = np.concatenate(list(equal.values()))
    rows = np.tile(np.arange(n), len(equal))
    graph = coo_array((np.ones(len(links), dtype=np.int8), (rows, links)), shape=(n, n))
    count, part = connected_components(graph, directed=False)
    if count == 1 < n:
        distinct = ", ".join(f"{name} has {len(np.unique(own))}" for name, own in equal.items())
        raise InputError(
            f"groups by equal rows: all {n} rows are linked to one group (distinct rows: {distinct}); "
            "leave out what gives the same vector again and again, or give the groups themselves"
        )
    # Named as if rows were their own groups, so that nothing changes if no two rows are equal.
    first = np.full(count, n, dtype=np.intp)
    np.minimum.at(first, part, np.arange(n))
    return tuple(map(str, first[part].tolist()))


def copies_of(
    arrays: Iterable[tuple[str, NDArray[np.generic]]], groups: Sequence[str], advice: str
) -> list[str]:
    """Return a sentence for each array with copies: how many rows they are, what follows, what to do.

    Args:
        arrays: a name and a matrix [n, d] each.
        groups: the group of each row [n].
        advice: the end of the sentence.
    """
    n = len(groups)
    return [
        f"{name}: {again} of {n} rows equal an earlier one, yet each counts as a sample of its own: "
        f"p-values and intervals are then too good to be true ({REPEATED}). {advice}"
        for name, values in arrays
        if (again := repeats(values, groups))
    ]
