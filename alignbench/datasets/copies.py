"""Rows that are copies of each other: who counts them as independent finds what is not there."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np

from alignbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

REPEATED = "repeated_rows"  # the flag of scores that take copies for samples of their own
ROWS: Final = "rows"  # in the place of groups: equal rows are one group


def first_equal(values: NDArray[np.generic]) -> NDArray[np.intp]:
    """Return for each row of `values` [n, d] the number of the first row that is equal to it."""
    first: dict[bytes, int] = {}
    found = np.empty(len(values), dtype=np.intp)
    for number, row in enumerate(values):
        # Zero has two signs, which are equal; a digest, for a large matrix is not to be held twice.
        digest = hashlib.blake2b((row + row.dtype.type(0)).tobytes(), digest_size=16).digest()
        found[number] = first.setdefault(digest, number)
    return found


def repeats(values: NDArray[np.generic], groups: Sequence[str]) -> int:
    """Return how many rows equal an earlier one, where every row is a group of its own; else 0.

    Who puts rows into groups has said which of them belong together.

    Args:
        values: [n, d].
        groups: the group of each row [n].
    """
    if len(set(groups)) < len(groups):
        return 0
    return len(values) - len(np.unique(first_equal(values)))


def groups_of_rows(arrays: Mapping[str, NDArray[np.generic]]) -> tuple[str, ...]:
    """Return groups [n] in which no row has an equal one outside of its group, in any of the arrays.

    Rows that are equal in one array belong together, and so do all that are linked by such: of five captions
    an image, two of which another image has, too, both images' rows are one group.

    Args:
        arrays: name -> [n, d], row i of each the same sample.

    Raises:
        InputError: all rows are then one group.
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
    # Named like rows that are their own groups, so that nothing changes where no row has an equal one.
    first = np.full(count, n, dtype=np.intp)
    np.minimum.at(first, part, np.arange(n))
    return tuple(map(str, first[part].tolist()))


def copies_of(
    arrays: Iterable[tuple[str, NDArray[np.generic]]], groups: Sequence[str], advice: str
) -> list[str]:
    """Return a sentence for each array with copies: how many rows they are, what comes of it, what to do.

    Args:
        arrays: (name, [n, d]) of each.
        groups: the group of each row [n].
        advice: what to do.
    """
    n = len(groups)
    return [
        f"{name}: {again} of {n} rows equal an earlier one, yet each counts as a sample of its own: "
        f"p-values and intervals are then too good to be true ({REPEATED}). {advice}"
        for name, values in arrays
        if (again := repeats(values, groups))
    ]
