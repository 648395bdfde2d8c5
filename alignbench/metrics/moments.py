"""Streaming moments: linear-kernel scores, CORAL and class scatter of any number of rows in O(d²) memory.

They add up over chunks, workers and machines; any split of the rows gives the same scores up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from alignbench.columns import names_of
from alignbench.errors import DegenerateError, InputError
from alignbench.metrics.checks import check_min_n, check_pair
from alignbench.metrics.classes import adjusted_share
from alignbench.metrics.coral_family import coral_distance_of, ncoral_of
from alignbench.metrics.sums import LinearSums
from alignbench.metrics.triangles import without_outer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

CHUNK = 8192


@dataclass(slots=True)
class SideMoments:
    """Sums over the rows x of one side after a shift, with p = ‖x‖².

    Args:
        shift: the vector that was subtracted from each row [d].
        total: Σx [d].
        outer: Σxxᵀ [d, d].
        p: Σp.
        pp: Σp².
        px: Σp·x [d].
    """

    shift: Matrix
    total: Matrix
    outer: Matrix
    p: float = 0.0
    pp: float = 0.0
    px: Matrix = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def empty(cls, shift: Matrix) -> SideMoments:
        """Return the sums of no rows."""
        d = len(shift)
        return cls(shift, np.zeros(d), np.zeros((d, d)), px=np.zeros(d))

    def shifted(self, n: int, delta: Matrix) -> SideMoments:
        """Return the sums of x − delta."""
        c, along = float(delta @ delta), float(delta @ self.total)
        turned = self.outer @ delta
        v = self.total - n / 2 * delta
        return SideMoments(
            shift=self.shift + delta,
            total=self.total - n * delta,
            outer=without_outer(self.outer, delta, v, v, delta),
            p=self.p - 2 * along + n * c,
            pp=self.pp
            + n * c**2
            + 4 * float(delta @ turned)
            + 2 * c * self.p
            - 4 * float(delta @ self.px)
            - 4 * c * along,
            px=self.px + c * self.total - 2 * turned - delta * (self.p + n * c - 2 * along),
        )

    def plus(self, other: SideMoments, sign: int = 1) -> SideMoments:
        """Return the sums of both (or without the other's rows); the shifts are equal."""
        return SideMoments(
            self.shift,
            self.total + sign * other.total,
            self.outer + sign * other.outer,
            self.p + sign * other.p,
            self.pp + sign * other.pp,
            self.px + sign * other.px,
        )


@dataclass(slots=True)
class CrossMoments:
    """Sums over pairs, with p = ‖x‖², q = ‖y‖²: Σxyᵀ [dx, dy], Σpq, Σq·x [dx], Σp·y [dy]."""

    outer: Matrix
    pq: float
    qx: Matrix
    py: Matrix

    def shifted(self, n: int, x: SideMoments, y: SideMoments, delta: Matrix, epsilon: Matrix) -> CrossMoments:
        """Return the sums of (x − delta, y − epsilon), from the sides before that shift."""
        c, e = float(delta @ delta), float(epsilon @ epsilon)
        along_x, along_y = float(delta @ x.total), float(epsilon @ y.total)
        pq = self.pq + e * x.p + c * y.p + n * c * e
        pq -= 2 * (float(epsilon @ self.py) + float(delta @ self.qx) + c * along_y + e * along_x)
        pq += 4 * float(delta @ self.outer @ epsilon)
        return CrossMoments(
            outer=without_outer(self.outer, delta, y.total - n * epsilon, x.total, epsilon),
            pq=pq,
            qx=self.qx + e * x.total - 2 * self.outer @ epsilon - delta * (y.p + n * e - 2 * along_y),
            py=self.py + c * y.total - 2 * self.outer.T @ delta - epsilon * (x.p + n * c - 2 * along_x),
        )

    def plus(self, other: CrossMoments, sign: int = 1) -> CrossMoments:
        """Return the sums of both (or without the other's pairs)."""
        return CrossMoments(
            self.outer + sign * other.outer,
            self.pq + sign * other.pq,
            self.qx + sign * other.qx,
            self.py + sign * other.py,
        )


@dataclass(slots=True)
class ClassSums:
    """Sums over one class: n, Σx [dx], Σy [dy], Σp, Σq."""

    n: int
    x: Matrix
    y: Matrix
    p: float
    q: float

    def shifted(self, delta: Matrix, epsilon: Matrix) -> ClassSums:
        """Return the sums of (x − delta, y − epsilon)."""
        return ClassSums(
            self.n,
            self.x - self.n * delta,
            self.y - self.n * epsilon,
            self.p - 2 * float(delta @ self.x) + self.n * float(delta @ delta),
            self.q - 2 * float(epsilon @ self.y) + self.n * float(epsilon @ epsilon),
        )

    def plus(self, other: ClassSums, sign: int = 1) -> ClassSums:
        """Return the sums of both (or without the other's rows)."""
        return ClassSums(
            self.n + sign * other.n,
            self.x + sign * other.x,
            self.y + sign * other.y,
            self.p + sign * other.p,
            self.q + sign * other.q,
        )


def _side(x: Matrix, p: Matrix, shift: Matrix) -> SideMoments:
    return SideMoments(shift, x.sum(axis=0), x.T @ x, float(p.sum()), float(p @ p), p @ x)


@dataclass(slots=True)
class Moments:
    """The sums over any number of pairs that linear CKA, its null, debiased CKA, CORAL and classes need.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(50, 3)); y = x @ rng.normal(size=(3, 4))
        >>> parts = Moments.from_arrays(x[:20], y[:20]).merge(Moments.from_arrays(x[20:], y[20:]))
        >>> abs(parts.linear_cka() - Moments.from_arrays(x, y).linear_cka()) < 1e-12
        True
    """

    n: int
    x: SideMoments
    y: SideMoments
    cross: CrossMoments
    classes: dict[str, ClassSums] = field(default_factory=dict)

    @classmethod
    def empty(cls, shift_x: ArrayLike, shift_y: ArrayLike) -> Moments:
        """Return the moments of no pairs; the shifts [dx], [dy] should be near the means."""
        a, b = np.asarray(shift_x, dtype=np.float64), np.asarray(shift_y, dtype=np.float64)
        cross = CrossMoments(np.zeros((len(a), len(b))), 0.0, np.zeros(len(a)), np.zeros(len(b)))
        return cls(0, SideMoments.empty(a), SideMoments.empty(b), cross)

    @classmethod
    def from_arrays(cls, x: ArrayLike, y: ArrayLike, labels: ArrayLike | None = None) -> Moments:
        """Return the moments of x [n, dx], y [n, dy] and, if given, labels [n].

        Raises:
            InputError: see `check_pair`.
        """
        a, b = check_pair(x, y, 1)
        return cls.empty(a[:CHUNK].mean(axis=0), b[:CHUNK].mean(axis=0)).update(a, b, labels)

    @classmethod
    def of_chunks(cls, chunks: Iterable[tuple[ArrayLike, ArrayLike, ArrayLike | None]]) -> Moments:
        """Return the moments of chunks (x, y, labels), such as `Session.chunks` gives; see `update`."""
        moments: Moments | None = None
        for x, y, labels in chunks:
            moments = cls.from_arrays(x, y, labels) if moments is None else moments.update(x, y, labels)
        if moments is None:
            raise InputError("chunks: expected at least one, got none")
        return moments

    @property
    def dims(self) -> tuple[int, int]:
        """The widths of both sides."""
        return len(self.x.shift), len(self.y.shift)

    def update(self, x: ArrayLike, y: ArrayLike, labels: ArrayLike | None = None) -> Moments:
        """Add further pairs, in place, and return self.

        Raises:
            InputError: see `check_pair`; or widths differ, a row has no label, or only some chunks have
                labels.
        """
        a, b = check_pair(x, y, 1)
        if (a.shape[1], b.shape[1]) != self.dims:
            raise InputError(f"x and y: expected widths {self.dims}, got {(a.shape[1], b.shape[1])}")
        names = None if labels is None else names_of(labels, len(a), "labels")
        if self.n and (names is None) == bool(self.classes):
            raise InputError("labels: expected for all chunks or for none")
        for start in range(0, len(a), CHUNK):
            rows = slice(start, start + CHUNK)
            self._add(a[rows] - self.x.shift, b[rows] - self.y.shift, None if names is None else names[rows])
        return self

    def _add(self, x: Matrix, y: Matrix, labels: NDArray[np.str_] | None) -> None:
        p, q = np.einsum("ij,ij->i", x, x), np.einsum("ij,ij->i", y, y)
        self.n += len(x)
        self.x = self.x.plus(_side(x, p, self.x.shift))
        self.y = self.y.plus(_side(y, q, self.y.shift))
        self.cross = self.cross.plus(CrossMoments(x.T @ y, float(p @ q), q @ x, p @ y))
        for name in () if labels is None else np.unique(labels):
            of = labels == name
            sums = ClassSums(
                int(of.sum()), x[of].sum(axis=0), y[of].sum(axis=0), float(p[of].sum()), float(q[of].sum())
            )
            known = self.classes.get(str(name))
            self.classes[str(name)] = sums if known is None else known.plus(sums)

    def shifted(self, delta: Matrix, epsilon: Matrix) -> Moments:
        """Return the moments of (x − delta, y − epsilon)."""
        return Moments(
            self.n,
            self.x.shifted(self.n, delta),
            self.y.shifted(self.n, epsilon),
            self.cross.shifted(self.n, self.x, self.y, delta, epsilon),
            {name: sums.shifted(delta, epsilon) for name, sums in self.classes.items()},
        )

    def centered(self) -> Moments:
        """Return the moments about the means.

        Raises:
            TooFewSamplesError: there are no rows.
        """
        check_min_n(self.n, 1, "moments")
        return self.shifted(self.x.total / self.n, self.y.total / self.n)

    def merge(self, other: Moments) -> Moments:
        """Return the moments of the pairs of both; neither is changed.

        Raises:
            InputError: widths differ, or only one has classes.
        """
        return self._combined(other, 1)

    def without(self, other: Moments) -> Moments:
        """Return the moments of these pairs without the other's, which are among them."""
        return self._combined(other, -1)

    def _combined(self, other: Moments, sign: int) -> Moments:
        if self.dims != other.dims:
            raise InputError(f"moments: expected the same widths, got {self.dims} and {other.dims}")
        if self.n and other.n and bool(self.classes) != bool(other.classes):
            raise InputError("moments: expected classes on both sides or on neither")
        other = other.shifted(self.x.shift - other.x.shift, self.y.shift - other.y.shift)
        classes = dict(self.classes)
        for name, sums in other.classes.items():
            classes[name] = classes[name].plus(sums, sign) if name in classes else sums
        return replace(
            self,
            n=self.n + sign * other.n,
            x=self.x.plus(other.x, sign),
            y=self.y.plus(other.y, sign),
            cross=self.cross.plus(other.cross, sign),
            classes={name: sums for name, sums in classes.items() if sums.n},
        )

    def sums(self) -> LinearSums:
        """Return the sums that determine all linear-kernel scores."""
        c = self.centered()
        return LinearSums(
            n=c.n,
            xy=float(np.square(c.cross.outer).sum()),
            xx=float(np.square(c.x.outer).sum()),
            yy=float(np.square(c.y.outer).sum()),
            trace_x=c.x.p,
            trace_y=c.y.p,
            square_x=c.x.pp,
            square_y=c.y.pp,
            product=c.cross.pq,
        )

    def linear_cka(self) -> float:
        """Return linear CKA; see `alignbench.metrics.linear_cka`."""
        check_min_n(self.n, 3, "moments")
        return self.sums().linear_cka()

    def linear_cka_null(self) -> tuple[float, float]:
        """Return mean and standard deviation of linear CKA over all re-pairings."""
        check_min_n(self.n, 3, "moments")
        return self.sums().linear_cka_null()

    def calibrated_cka(self) -> float:
        """Return calibrated CKA; see `alignbench.metrics.calibrated_cka`."""
        check_min_n(self.n, 5, "moments")
        return self.sums().calibrated_cka()

    def debiased_cka(self) -> float:
        """Return debiased CKA; see `alignbench.metrics.debiased_cka`.

        Raises:
            DegenerateError: n is so close to the dimensions that moments lose the digits; use the arrays.
        """
        check_min_n(self.n, 4, "moments")
        score = self.sums().debiased_cka()
        if score is None:
            raise DegenerateError(
                f"debiased_cka: {self.n} rows are too near the widths {self.dims} for moments; use the arrays"
            )
        return score

    def linear_cka_within_mean(self) -> float:
        """Return the mean of linear CKA over all permutations within the classes.

        Raises:
            InputError: the moments were taken without labels.
        """
        check_min_n(self.n, 3, "moments")
        c = self.centered()
        classes = c._labelled()
        weights = np.sqrt([sums.n for sums in classes])[:, None]
        means_x = np.asarray([sums.x for sums in classes]) / weights
        means_y = np.asarray([sums.y for sums in classes]) / weights
        numerator = float(np.square(means_x.T @ means_y).sum())
        for sums in classes:
            trace_x = sums.p - float(sums.x @ sums.x) / sums.n
            trace_y = sums.q - float(sums.y @ sums.y) / sums.n
            numerator += trace_x * trace_y / max(sums.n - 1, 1)
        return numerator / self.sums().scale

    def means(self) -> tuple[Matrix, Matrix]:
        """Return both sides' means [dx], [dy]."""
        check_min_n(self.n, 1, "moments")
        return self.x.shift + self.x.total / self.n, self.y.shift + self.y.total / self.n

    def covariances(self) -> tuple[Matrix, Matrix]:
        """Return both sides' covariances [dx, dx], [dy, dy], normalised by n−1."""
        check_min_n(self.n, 2, "moments")
        c = self.centered()
        return c.x.outer / (self.n - 1), c.y.outer / (self.n - 1)

    def coral_distance(self) -> float:
        """Return the CORAL distance of both sides as they are (without a basis); they need equal widths."""
        return coral_distance_of(*self._shared())

    def ncoral(self) -> float:
        """Return ncoral of both sides as they are (without a basis); they need equal widths."""
        return ncoral_of(*self._shared())

    def discriminability(self) -> float:
        """Return x's discriminability; see `alignbench.metrics.discriminability`."""
        between, within = self._scatter()
        return adjusted_share(between, within, self.n, len(self.classes))

    def discriminability_raw(self) -> float:
        """Return x's uncorrected discriminability."""
        between, within = self._scatter()
        return between / (between + within)

    def _shared(self) -> tuple[Matrix, Matrix]:
        if self.dims[0] != self.dims[1]:
            raise InputError(f"moments: expected a shared basis, got widths {self.dims}")
        return self.covariances()

    def _labelled(self) -> list[ClassSums]:
        if not self.classes:
            raise InputError("moments: expected classes; give labels to from_arrays and update")
        return list(self.classes.values())

    def _scatter(self) -> tuple[float, float]:
        classes = self.centered()._labelled()
        if len(classes) < 2 or min(sums.n for sums in classes) < 2:
            raise DegenerateError("moments: expected at least two classes with at least two rows each")
        within = sum(sums.p - float(sums.x @ sums.x) / sums.n for sums in classes)
        between = sum(float(sums.x @ sums.x) / sums.n for sums in classes)
        if between + within <= 0:
            raise DegenerateError(f"zero variance of x: all {self.n} rows are equal")
        return between, within
