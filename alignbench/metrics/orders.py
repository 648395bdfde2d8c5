"""The order of many numbers, their ranks, and the ranks of those that are left without some of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.blocks import row_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Indices = NDArray[np.intp]
    Flags = NDArray[np.bool_]
    Whole = NDArray[np.integer]

MANY = 40_000  # numbers, above which it is faster to sort them as whole numbers
_BITS = 64  # of a whole number


@dataclass(frozen=True, slots=True)
class Order:
    """The order of numbers, of which those that can't be distinguished are tied.

    Args:
        order: which number is at each place, from the smallest one on [m].
        starts: the first place of each run of two or more tied numbers [r].
        ends: the place after its last one [r].
    """

    order: NDArray[np.int32]
    starts: Indices
    ends: Indices

    @classmethod
    def of(cls, values: Vector, errors: Vector | None = None) -> Order:
        """Return the order of `values` [m].

        Args:
            values: [m].
            errors: the largest rounding error of each value [m]: two successive values whose difference is
                within the sum of both errors are tied. By default, 0.
        """
        order, found = _sorted(values)
        near = _small_gaps(found, 0.0 if errors is None else 2 * errors.max())
        if errors is not None:
            gaps = found[near + 1] - found[near]
            near = near[gaps <= errors[order[near]] + errors[order[near + 1]]]
        apart = np.flatnonzero(np.diff(near) > 1)
        return cls(
            order.astype(np.int32),
            near[np.append(0, apart + 1)[: len(near)]],
            near[np.append(apart, -1)[: len(near)]] + 2,
        )

    def ranks(self) -> Vector:
        """Return the ranks 1 … m of all numbers [m]; tied ones share their mean rank."""
        ranks: Vector = np.empty(len(self.order))
        ranks[self.order] = (self.centered() + (len(self.order) + 1)) / 2
        return ranks

    def places(self) -> NDArray[np.int32]:
        """Return the place of each number [m]."""
        places = np.empty_like(self.order)
        places[self.order] = np.arange(len(places), dtype=np.int32)
        return places

    def centered(self, left: Flags | None = None) -> Whole:
        """Return twice the centred rank of each number, by place [m].

        Args:
            left: whether the number at each place is one of those that are ranked [m]; others get 0. By
                default, all are.
        """
        m = len(self.order)
        before: Whole = np.arange(m + 1, dtype=np.int32 if 2 * m <= np.iinfo(np.int32).max else np.int64)
        if left is not None:
            np.cumsum(left, out=before[1:])
        ranks: Whole = before[1:] + before[:-1]
        sizes = self.ends - self.starts
        tied = np.arange(sizes.sum()) + np.repeat(self.starts - (np.cumsum(sizes) - sizes), sizes)
        ranks[tied] = np.repeat(before[self.starts] + before[self.ends], sizes)
        ranks -= before[-1]
        if left is not None:
            ranks *= left
        return ranks


def _sorted(values: Vector) -> tuple[Indices, Vector]:
    """Return the places of all values in ascending order [m], and these values [m].

    Many values ≥ 0 are sorted as whole numbers, of the leading bits of a value and of its place: places of
    values that differ in later bits are exchanged afterwards.
    """
    if len(values) <= MANY or values.min() < 0:
        order: Indices = np.argsort(values)
        return order, values[order]
    room = len(values).bit_length()
    keys = (values + 0.0).view(np.uint64)  # ascend with the values, and so for +0 alone
    keys -= keys.min()
    keys >>= np.uint64(max(0, int(keys.max()).bit_length() + room - _BITS))
    keys <<= np.uint64(room)
    keys |= np.arange(len(values), dtype=np.uint64)
    keys.sort()
    order = (keys & np.uint64(2**room - 1)).view(np.intp)
    keys >>= np.uint64(room)
    found = values[order]
    wrong = np.unique(keys[_small_gaps(found, -np.finfo(np.float64).smallest_subnormal)])
    if len(wrong):
        edges = zip(np.searchsorted(keys, wrong), np.searchsorted(keys, wrong, side="right"), strict=True)
        places = np.concatenate([np.arange(start, end) for start, end in edges])
        order[places] = order[places][np.lexsort((found[places], keys[places]))]
        found[places] = values[order[places]]
    return order, found


def _small_gaps(values: Vector, most: float) -> Indices:
    """Return the places of values [m] that are followed by one that is larger by at most `most`."""
    places = [
        some.start + np.flatnonzero(np.diff(values[some.start : some.stop + 1]) <= most)
        for some in row_blocks(len(values) - 1, 1)
    ]
    return np.concatenate([*places, np.empty(0, dtype=np.intp)])
