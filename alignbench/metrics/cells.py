"""Moments of many pairs in one pass over chunks, of which parts can be asked for without the rows.

Rows are assigned to CELLS cells at random, by group, and moments are added up in each cell. So the moments
without a cell are there for intervals, and those of two halves for scores that fit a basis to one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.metrics.blocks import unbuffered
from alignbench.metrics.moments import ClassSums, CrossMoments, Moments, SideMoments
from alignbench.metrics.triangles import add_cross_products, add_products, mirrored
from alignbench.stats.splits import assign

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Codes = NDArray[np.intp]

# A jackknife over 20 blocks has 19 degrees of freedom: its interval is 6% wider than one over 100. Each cell
# takes 8·(dx² + dy² + dx·dy) bytes: 18 MiB for 768 and 1,024 columns.
CELLS = 20
LARGEST_SIZE = 1e70  # sums of squares up to here: the squares of two, multiplied, are in the range of float64
OUT = -1  # the cell of a row that is left out
ALL, HALVES = range(CELLS), (range(0, CELLS, 2), range(1, CELLS, 2))


def cells_of(groups: NDArray[np.str_], seed: int) -> Codes:
    """Return the cell of each row [n]: a group is in one cell, and cells are equally large (±1)."""
    return assign(groups, CELLS, seed, "block")


@dataclass(frozen=True, slots=True)
class Layout:
    """The rows of a chunk in the order of their cells: their positions [b], and where each cell's are."""

    order: Codes
    slices: Mapping[int, slice]

    @classmethod
    def of(cls, cell: Codes) -> Layout:
        """Return the layout of rows in these cells [b], without rows that are OUT."""
        order = np.argsort(cell, kind="stable")
        order = order[np.searchsorted(cell[order], OUT, side="right") :]
        numbers, starts = np.unique(cell[order], return_index=True)
        ends = [*starts[1:].tolist(), len(order)]
        slices = zip(numbers.tolist(), map(slice, starts.tolist(), ends), strict=True)
        return cls(order, dict(slices))

    def shifted(self, values: NDArray[Any], shift: Matrix) -> Iterator[Matrix]:
        """Yield the rows of each cell in float64, minus a vector [m, d]; the next cell's overwrite them.

        So whatever is computed of them finds them in the cache.
        """
        array = np.asarray(values)
        space = np.empty(
            (max((rows.stop - rows.start for rows in self.slices.values()), default=0), len(shift))
        )
        for rows in self.slices.values():
            block = space[: rows.stop - rows.start]
            block[...] = array[self.order[rows]]
            with unbuffered():
                block -= shift
            yield block


class SideCells:
    """The moments of one model's rows, cell by cell.

    Args:
        shift: a vector near the mean [d], which is subtracted from each row.
        classes: the number of classes; 0 for none.
    """

    def __init__(self, shift: Matrix, classes: int = 0) -> None:
        d = len(shift)
        self.shift, self.n = shift, np.zeros(CELLS, dtype=np.intp)
        self.total, self.px = np.zeros((2, CELLS, d))
        self.outer = np.zeros((CELLS, d, d))  # of each, the lower triangle
        self.p, self.pp = np.zeros((2, CELLS))
        self.class_n, self.class_p = np.zeros((2, CELLS, classes))
        self.class_total = np.zeros((CELLS, classes, d))
        self._known: dict[Hashable, Matrix] = {}

    @property
    def parts(self) -> tuple[SideCells]:
        """What holds memory of its own."""
        return (self,)

    @property
    def nbytes(self) -> int:
        """The memory of the moments."""
        known = sum(array.nbytes for array in tuple(self._known.values()))  # another thread may add some
        return self.outer.nbytes + self.class_total.nbytes + known

    def known(self, what: Hashable, compute: Callable[[], Matrix]) -> Matrix:
        """Return what was computed of these moments under this name, for the next pair of this model, too."""
        if (found := self._known.get(what)) is None:
            found = self._known[what] = compute()
        return found

    def add(self, values: NDArray[Any], layout: Layout, codes: Codes | None = None) -> None:
        """Add the rows of a chunk, with the class of each if there are classes."""
        self._known.clear()
        for (c, rows), x in zip(layout.slices.items(), layout.shifted(values, self.shift), strict=True):
            p = np.einsum("ij,ij->i", x, x)
            self.n[c] += len(x)
            self.total[c] += np.ones(len(x)) @ x
            add_products(self.outer[c], x)
            self.p[c] += p.sum()
            self.pp[c] += p @ p
            self.px[c] += p @ x
            if codes is not None:
                of = codes[layout.order[rows]]
                member = (of[:, None] == np.arange(self.class_n.shape[1])).astype(np.float64)
                self.class_n[c] += member.sum(axis=0)
                self.class_p[c] += p @ member
                self.class_total[c] += member.T @ x

    def check(self, name: str) -> None:
        """Refuse a side whose scores do not exist, or whose sums leave the range of float64.

        Raises:
            DegenerateError: all rows are equal (up to rounding), or squares of squares leave the range.
        """
        n, total = int(self.n.sum()), self.total.sum(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            size = float(self.p.sum() - total @ total / n)  # of centred rows
        noise = 8 * float(np.finfo(np.float64).eps * np.abs(self.shift).max())
        if size <= n * len(self.shift) * noise * noise < LARGEST_SIZE:
            raise DegenerateError(f"{name}: zero variance, all {n} rows are equal")
        if not 1 / LARGEST_SIZE < size < LARGEST_SIZE:
            raise DegenerateError(
                f"{name}: {n} rows with a sum of squares of {size:.3g} are out of the range of moments; "
                "multiply the whole array by one factor"
            )

    def moments(self, cells: Sequence[int]) -> SideMoments:
        """Return the moments of the rows in these cells together."""
        of = list(cells)
        return SideMoments(
            self.shift,
            self.total[of].sum(axis=0),
            mirrored(_together(self.outer, of)),
            float(self.p[of].sum()),
            float(self.pp[of].sum()),
            self.px[of].sum(axis=0),
        )


def _together(matrices: Matrix, cells: Sequence[int]) -> Matrix:
    """Return the sum of some of the matrices [cells, ...], without a copy of them all."""
    result = np.zeros(matrices.shape[1:])
    for c in cells:
        result += matrices[c]
    return result


class CrossCells:
    """The moments of pairs of rows of two models, cell by cell."""

    def __init__(self, dx: int, dy: int) -> None:
        self.outer = np.zeros((CELLS, dx, dy))
        self.pq = np.zeros(CELLS)
        self.qx, self.py = np.zeros((CELLS, dx)), np.zeros((CELLS, dy))

    @property
    def nbytes(self) -> int:
        """The memory of the moments."""
        return self.outer.nbytes

    def add(self, x: Iterable[Matrix], y: Iterable[Matrix], cells: Iterable[int]) -> None:
        """Add pairs, given the rows of both sides in each of some cells."""
        for c, a, b in zip(cells, x, y, strict=True):
            p, q = np.einsum("ij,ij->i", a, a), np.einsum("ij,ij->i", b, b)
            add_cross_products(self.outer[c], a, b)
            self.pq[c] += p @ q
            self.qx[c] += q @ a
            self.py[c] += p @ b

    def moments(self, cells: Sequence[int]) -> CrossMoments:
        """Return the moments of the pairs in these cells together."""
        of = list(cells)
        return CrossMoments(
            _together(self.outer, of),
            float(self.pq[of].sum()),
            self.qx[of].sum(axis=0),
            self.py[of].sum(axis=0),
        )


class PairSums:
    """The moments of a pair of models, of which parts without some cells can be asked for.

    Args:
        x: the vision side.
        y: the text side, over the same rows.
        cross: both.
        classes: the names of the classes, none without labels.
    """

    def __init__(self, x: SideCells, y: SideCells, cross: CrossCells, classes: Sequence[str]) -> None:
        self.x, self.y, self.cross, self.classes = x, y, cross, tuple(classes)
        self._totals: dict[range, Moments] = {}

    @property
    def n(self) -> int:
        """The number of rows."""
        return int(self.x.n.sum())

    @property
    def sides(self) -> tuple[SideCells, SideCells]:
        """Both sides."""
        return self.x, self.y

    def moments(self, without: frozenset[int] = frozenset(), of: range = ALL) -> Moments:
        """Return the moments of the pairs in some cells, without those in others.

        Args:
            without: the cells that are left out.
            of: ALL, or one of both HALVES.
        """
        if of not in self._totals:
            self._totals[of] = self._sum(of)
        total = self._totals[of]
        out = sorted(without & set(of))
        return total.without(self._sum(out)) if out else total

    def _sum(self, of: Sequence[int]) -> Moments:
        of = list(of)
        classes = {
            name: ClassSums(
                int(self.x.class_n[of, i].sum()),
                self.x.class_total[of, i].sum(axis=0),
                self.y.class_total[of, i].sum(axis=0),
                float(self.x.class_p[of, i].sum()),
                float(self.y.class_p[of, i].sum()),
            )
            for i, name in enumerate(self.classes)
        }
        return Moments(
            int(self.x.n[of].sum()),
            self.x.moments(of),
            self.y.moments(of),
            self.cross.moments(of),
            {name: sums for name, sums in classes.items() if sums.n},
        )
