"""Linear CKA of many re-paired rows, in float64 or float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.metrics.deletions import KERNELS_UP_TO
from alignbench.metrics.kernels import centered_gram, centered_side
from alignbench.metrics.nulls import matched_norms, products_of_halves, upper_half
from alignbench.metrics.sums import inner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Real = NDArray[Any]  # float32 or float64


@dataclass(frozen=True, slots=True)
class Repaired:
    r"""Two sides whose rows are to be re-paired.

    In float32, each entry of a kernel is rounded by at most $2^{-24}$ of itself, which moves a score by at
    most $2^{-23}$ (Cauchy and Schwarz); the sums, each of some thousand products, round by about as much.

    Args:
        x: the kernel of x as its `upper_half`; or beyond KERNELS_UP_TO rows, x itself, centred [n, dx].
        y: the kernel of y [n, n]; or y itself, centred [n, dy].
        scale: the product of the norms of both kernels.
    """

    x: list[Real] | Real
    y: Real
    scale: float

    @classmethod
    def of(cls, x: Matrix, y: Matrix) -> Repaired:
        """Return sides of x [n, dx] and y [n, dy] in float64."""
        if len(x) > KERNELS_UP_TO:
            a, b = centered_side(x, "x"), centered_side(y, "y")
            return cls(a, b, float(np.sqrt(inner(a, a) * inner(b, b))))
        a, b = centered_gram(x, "x"), centered_gram(y, "y")
        return cls(upper_half(a), b, float(np.linalg.norm(a) * np.linalg.norm(b)))

    @classmethod
    def in_single(cls, x: Matrix, y: Matrix) -> Repaired:
        """Return sides of x [n, dx] and y [n, dy] in float32, with kernels of unit norm."""
        if len(x) > KERNELS_UP_TO:
            a, b = centered_side(x, "x"), centered_side(y, "y")
            one, other = (_single(side, np.sqrt(np.sqrt(inner(side, side)))) for side in (a, b))
            return cls(one, other, 1.0)
        a, b = centered_gram(x, "x"), centered_gram(y, "y")
        return cls(upper_half(_single(a, np.linalg.norm(a))), _single(b, np.linalg.norm(b)), 1.0)

    def linear_cka(self, permutations: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return linear CKA of x and y[p] for each permutation p."""
        if isinstance(self.x, list):
            return products_of_halves(self.x, self.y, permutations) / self.scale
        return matched_norms(self.x, self.y, permutations) / self.scale


def _single(matrix: Matrix, unit: np.floating[Any]) -> NDArray[np.float32]:
    result = np.empty(matrix.shape, dtype=np.float32)
    return np.divide(matrix, unit, out=result, casting="same_kind")
