"""What scores need of the moments of a pair: of all cells, or without some of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.metrics.cells import ALL, CELLS, HALVES, CrossCells, PairSums, SideCells
from alignbench.metrics.halves import based_scores
from alignbench.metrics.procrustes import nuclear_norm
from alignbench.metrics.spectra import rank_of, truncated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from alignbench.metrics.moments import Moments
    from alignbench.metrics.sums import LinearSums

    Matrix = NDArray[np.float64]

HEAVY = 4.0  # n·Σ‖x‖⁴/(Σ‖x‖²)²: 1 for rows of one length, 3 for normal numbers in one column


@dataclass
class Sample:
    """What scores need of a pair's moments, of all cells or without some; matrices are not kept.

    Args:
        cells: the moments of all cells.
        without: the cells that are left out.
    """

    cells: PairSums
    without: frozenset[int] = frozenset()
    _based: dict[tuple[str, int], Mapping[str, float]] = field(default_factory=dict)

    def moments(self) -> Moments:
        """Return the moments of the sample."""
        return self.cells.moments(self.without)

    @cached_property
    def sums(self) -> LinearSums:
        """The sums that determine all linear-kernel scores."""
        return self.moments().sums()

    @property
    def debiased_cka(self) -> float:
        """Debiased CKA."""
        value = self.sums.debiased_cka()
        if value is None:
            raise DegenerateError(
                f"debiased_cka: moments of {self.sums.n} rows lose its digits: a few rows are far longer "
                "than the others, or the widths are too near the number of rows"
            )
        return value

    @cached_property
    def skewness(self) -> float:
        r"""The skewness of linear-kernel scores over all re-pairings, for many rows without far outliers.

        $\sqrt 8\,\frac{\sum\lambda^3\sum\mu^3}{(\sum\lambda^2\sum\mu^2)^{3/2}}$ with the eigenvalues λ and μ
        of the covariances.
        """
        ratios = 1.0
        for c in self.moments().covariances():
            squared = c @ c
            ratios *= float(np.vdot(squared, c)) / float(np.trace(squared)) ** 1.5
        return float(np.sqrt(8) * ratios)

    @cached_property
    def heavy_tailed(self) -> bool:
        """Whether a few rows are so long that the skewness of re-pairings is not the asymptotic one."""
        s = self.sums
        ratios = s.n * s.square_x / s.trace_x**2, s.n * s.square_y / s.trace_y**2
        return max(ratios) > HEAVY

    @cached_property
    def within_mean(self) -> float | None:
        """The mean of linear CKA over all permutations within the classes; None for fewer than two."""
        moments = self.moments()
        return moments.linear_cka_within_mean() if len(moments.classes) > 1 else None

    @cached_property
    def spectra(self) -> tuple[Matrix, Matrix]:
        """The eigenvalues of both covariances as shares of their sums, largest first."""
        return self._spectrum(0), self._spectrum(1)

    def _spectrum(self, place: int) -> Matrix:
        def compute() -> Matrix:
            values = np.maximum(np.linalg.eigvalsh(self.moments().covariances()[place])[::-1], 0.0)
            shares: Matrix = values / values.sum()
            return shares

        return self.cells.sides[place].known(("spectrum", self.without), compute)

    @property
    def truncated_spectra(self) -> tuple[Matrix, Matrix]:
        """Both spectra, cut to the smaller rank."""
        p, q = self.spectra
        return truncated(p, q, rank_of(p, self.cells.n, len(p)), rank_of(q, self.cells.n, len(q)))

    @cached_property
    def procrustes(self) -> float:
        """The sum of singular values of the cross-covariance over the roots of both variances."""
        c = self.moments().centered()
        return nuclear_norm(c.cross.outer) / float(np.sqrt(c.x.p * c.y.p))

    @cached_property
    def classes(self) -> tuple[float, float]:
        """`discriminability` of the vision side, and its uncorrected form."""
        moments = self.moments()
        return moments.discriminability(), moments.discriminability_raw()

    @cached_property
    def spread(self) -> float:
        """The mean variance of the vision side's columns."""
        covariance, _ = self.moments().covariances()
        return float(np.trace(covariance)) / len(covariance)

    def based(self, align: str, k: int) -> Mapping[str, float]:
        """Return the scores of the CORAL family in a basis that is fitted to every other cell."""
        if (align, k) not in self._based:
            # Blocks are two neighbouring cells, so that leaving one out takes as much from both halves.
            parts = HALVES if align == "procrustes" else (ALL, ALL)
            fitted, scored = (self.cells.moments(self.without, part) for part in parts)
            what = "axes", align, k, self.without

            def axes(place: int, compute: Callable[[], Matrix]) -> Matrix:
                return self.cells.sides[place].known(what, compute)

            self._based[align, k] = based_scores(fitted, scored, align, k, axes)
        return self._based[align, k]


class PairCells:
    """The samples of a pair of models: of all cells, and without some of them.

    The arguments are those of `PairSums`; y and cross are None for scores of one side alone. Samples refer to
    the sums, not to this object, so that memory is free once nobody needs it.
    """

    def __init__(
        self,
        x: SideCells,
        y: SideCells | None = None,
        cross: CrossCells | None = None,
        classes: Sequence[str] = (),
    ) -> None:
        # A side alone is paired with a column of zeros, so that `Moments` needs no second form.
        y = y if y is not None else _nothing_beside(x)
        self.sums = PairSums(x, y, cross or CrossCells(len(x.shift), len(y.shift)), classes)
        self.whole = Sample(self.sums)
        self._deletions: dict[int, list[Sample]] = {}

    @property
    def parts(self) -> tuple[SideCells, SideCells, CrossCells]:
        """What holds memory of its own."""
        return self.sums.x, self.sums.y, self.sums.cross

    @property
    def n(self) -> int:
        """The number of rows."""
        return self.sums.n

    @property
    def dims(self) -> tuple[int, int]:
        """The widths of both sides."""
        return len(self.sums.x.shift), len(self.sums.y.shift)

    def deletions(self, parts: int) -> list[Sample]:
        """Return the sample without each of `parts` blocks, which are one or two cells each."""
        if parts not in self._deletions:
            blocks = np.array_split(np.arange(CELLS), parts)
            self._deletions[parts] = [Sample(self.sums, frozenset(block.tolist())) for block in blocks]
        return self._deletions[parts]


def _nothing_beside(x: SideCells) -> SideCells:
    y = SideCells(np.zeros(1), x.class_n.shape[1])
    y.n, y.class_n = x.n, x.class_n
    return y
