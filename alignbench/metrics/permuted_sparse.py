"""The sums of `PermutedSide` for a matrix of few entries, such as a graph of neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.metrics.permuted_side import Classes, Parts, PermutedSide

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Vector = NDArray[np.float64]
    Indices = NDArray[np.intp]


def sparse_side(
    rows: Indices, columns: Indices, values: Vector, n: int, codes: Indices | None
) -> PermutedSide:
    """Return `PermutedSide.of` the matrix of these entries, in O(m²/n) operations for m of them.

    Args:
        rows: the row of each entry [m].
        columns: its column, which is another one than that of its row [m].
        values: the entries, which are not 0 [m].
        n: the number of rows.
        codes: class numbers 0 … c−1 [n], none of them empty; None for permutations of all rows.
    """
    sizes = np.asarray([n]) if codes is None else np.bincount(codes)
    place = np.arange(n) if codes is None else np.argsort(np.argsort(codes, kind="stable"), kind="stable")
    classes = Classes.of(sizes, np.dtype(np.float64))
    entries = _Entries(place[rows], place[columns], values)
    parts = _Sparse.of(entries, classes)
    at = classes.of_row[entries.rows], classes.of_row[entries.columns]
    # (k − m)² is m² in every other place of a block, which only moves the block's mean.
    moved = np.square(values - parts.means[at]) - np.square(parts.means[at])
    squares = _Sparse.of(replace(entries, values=moved), classes).second()
    squares = replace(squares, means=squares.means + np.square(parts.means))
    return PermutedSide(parts.second(), parts.third(parts.triangles()), squares)


@dataclass(frozen=True, slots=True)
class _Entries:
    """Entries of a matrix: their rows, columns and values [m]."""

    rows: Indices
    columns: Indices
    values: Vector

    def matrix(self, n: int) -> Any:
        """Return the matrix [n, n]."""
        from scipy.sparse import csr_array

        return csr_array((self.values, (self.rows, self.columns)), shape=(n, n))

    def both_ways(self, n: int) -> tuple[Indices, Indices, Vector, Vector]:
        """Return i, j, k_ij and k_ji for all rows of which one of these is an entry [m] each."""
        own, turned = self.rows * n + self.columns, self.columns * n + self.rows
        places = np.union1d(own, turned)
        forth, back = np.zeros(len(places)), np.zeros(len(places))
        forth[np.searchsorted(places, own)] = self.values
        back[np.searchsorted(places, turned)] = self.values
        return *np.divmod(places, n), forth, back


@dataclass(frozen=True, slots=True)
class _Sparse(Parts):
    r"""Parts whose residual is $k_{ij} - a_{id} - b_{jc}$ for i of class c and j of class d, and 0 for i = j.

    Args:
        entries: the entries k.
        of_rows: the effects of rows, with the means of blocks [n, c].
        of_columns: the effects of columns [n, c].
    """

    entries: _Entries
    of_rows: Matrix
    of_columns: Matrix

    @classmethod
    def of(cls, entries: _Entries, classes: Classes) -> _Sparse:
        """Return the parts of the matrix of these entries, whose diagonal is 0."""
        member, sizes, of_row = classes.member, classes.sizes, classes.of_row
        matrix = entries.matrix(len(of_row))
        rows, columns = matrix @ member, matrix.T @ member
        own = np.arange(len(sizes)) == of_row[:, None]
        means = member.T @ rows / np.maximum(np.outer(sizes, sizes) - np.diag(sizes), 1)
        others = sizes - own
        of_rows, of_columns, loops = classes.effects(
            rows - means[of_row] * others, columns - means.T[of_row] * others
        )
        every = np.concatenate([*loops, np.zeros((len(of_row), 1))], axis=1)
        diagonal = np.zeros(len(sizes))
        return cls(classes, means, diagonal, every, entries, of_rows + means[of_row], of_columns)

    def squared(self) -> list[Matrix]:
        return self.squared_and_cubed()[:2]

    def squared_and_cubed(self) -> list[Matrix]:
        n, of_row = len(self.of_rows), self.classes.of_row
        result = self._without_entries()
        i, j, forth, back = self.entries.both_ways(n)
        minus = -self._fitted(i, j), -self._fitted(j, i)
        with_entries, without = _products(minus[0] + forth, minus[1] + back), _products(*minus)
        count = len(self.classes.sizes)
        for sums, more, less in zip(result, with_entries, without, strict=True):
            sums += np.bincount(i * count + of_row[j], more - less, n * count).reshape(n, count)
        return result

    def _fitted(self, i: Indices, j: Indices) -> Vector:
        of_row = self.classes.of_row
        fitted: Vector = self.of_rows[i, of_row[j]] + self.of_columns[j, of_row[i]]
        return fitted

    def _without_entries(self) -> list[Matrix]:
        """Return `squared_and_cubed` of a matrix of zeros with these effects, from sums of their powers."""
        member, of_row = self.classes.member, self.classes.of_row
        p, q, v, u = self.of_rows, self.of_columns, self.of_rows, self.of_columns

        def over(other: Matrix) -> Matrix:
            """Return the sums over each class of what its rows have for the class of row i [n, c]."""
            result: Matrix = (member.T @ other).T[of_row]
            return result

        size = self.classes.sizes
        u1, u2, u3, v1, v2 = over(u), over(u * u), over(u * u * u), over(v), over(v * v)
        uv, uuv = over(u * v), over(u * u * v)
        squares = [
            size * p * p + 2 * p * u1 + u2,
            size * p * q + p * v1 + q * u1 + uv,
            size * q * q + 2 * q * v1 + v2,
            -(size * p**3 + 3 * p * p * u1 + 3 * p * u2 + u3),
            -(size * p * p * q + p * p * v1 + 2 * p * q * u1 + 2 * p * uv + q * u2 + uuv),
        ]
        own = np.arange(len(of_row))
        diagonal = -self._fitted(own, own)
        for sums, same in zip(squares, _products(diagonal, diagonal), strict=True):
            sums[own, of_row] -= same
        return squares

    def turned(self, vectors: list[Matrix]) -> list[Matrix]:
        matrix, left, right = self._with_diagonal()
        result = []
        for rows, u in zip(np.split(np.arange(len(left)), self.classes.starts[1:]), vectors, strict=True):
            result.append(matrix[rows].T @ u - right @ (left[rows].T @ u))
        return result

    def _with_diagonal(self) -> tuple[Any, Matrix, Matrix]:
        """Return a sparse matrix W and P and Q [n, 2c] such that the residual is W − PQᵀ."""
        from scipy.sparse import dia_array

        n, own = len(self.of_rows), np.arange(len(self.of_rows))
        diagonal = dia_array((self._fitted(own, own)[None], [0]), shape=(n, n))
        member = self.classes.member
        left = np.concatenate([self.of_rows, member], axis=1)
        right = np.concatenate([member, self.of_columns], axis=1)
        return (self.entries.matrix(n) + diagonal).tocsr(), left, right

    def triangles(self) -> Matrix:
        matrix, left, right = self._with_diagonal()
        count = len(self.classes.sizes)
        found = np.zeros((2, count, count, count))
        for middle in range(count):
            inside = self.classes.member[:, middle]
            chosen = (matrix * inside).tocsr()  # the columns of this class alone
            # Paths of two edges are a sparse matrix and a product of narrow ones.
            paths = (chosen @ matrix).tocoo()
            starts = np.concatenate([left, -(chosen @ left)], axis=1)
            ends = np.concatenate(
                [
                    -(matrix.T @ (inside[:, None] * right)) + right @ (left.T @ (inside[:, None] * right)),
                    right,
                ],
                axis=1,
            )
            for number, closing in enumerate((matrix, matrix.T.tocsr())):
                narrow = (left, right) if number == 0 else (right, left)
                found[number, :, middle] = self._closed(paths, (starts, ends), closing.tocoo(), narrow)
        return found

    def _closed(
        self, paths: Any, narrow_paths: tuple[Matrix, Matrix], closing: Any, narrow: tuple[Matrix, Matrix]
    ) -> Matrix:
        """Return Σ pᵢₖqᵢₖ over classes of i and k [c, c], for p = S + ABᵀ and q = W − PQᵀ."""
        (a, b), (p, q) = narrow_paths, narrow
        both = paths.tocsr().multiply(closing.tocsr()).tocoo()
        split = self.classes.split
        total = self._by_class(both.row, both.col, both.data)
        total -= self._by_class(
            paths.row, paths.col, paths.data * np.einsum("mr,mr->m", p[paths.row], q[paths.col])
        )
        total += self._by_class(
            closing.row, closing.col, closing.data * np.einsum("mr,mr->m", a[closing.row], b[closing.col])
        )
        of_rows = [s.T @ t for s, t in zip(split(a), split(p), strict=True)]
        of_columns = [s.T @ t for s, t in zip(split(b), split(q), strict=True)]
        total -= np.asarray([[(s * t).sum() for t in of_columns] for s in of_rows])
        return total

    def _by_class(self, rows: Indices, columns: Indices, values: Vector) -> Matrix:
        """Return the sums of entries over the classes of their rows and columns [c, c]."""
        count, of_row = len(self.classes.sizes), self.classes.of_row
        sums: Matrix = np.zeros((count, count))
        np.add.at(sums, (of_row[rows], of_row[columns]), values)
        return sums


def _products(forth: Vector, back: Vector) -> tuple[Vector, ...]:
    """Return the products of rᵢⱼ and rⱼᵢ that `squared_and_cubed` sums."""
    return forth * forth, forth * back, back * back, forth**3, forth * forth * back
