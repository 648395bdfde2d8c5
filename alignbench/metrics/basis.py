"""The shared basis that covariances of two models need before they can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.columns import count_of
from alignbench.errors import DegenerateError, InputError, TooFewSamplesError
from alignbench.metrics.checks import check_groups, check_pair, check_varies
from alignbench.metrics.derived import derived

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

ALIGN = ("procrustes", "pca", "none")
MIN_TRAIN = 10


def shared_k(dims: Sequence[int], n_train: int) -> int:
    """Return the width of a run's shared basis: min(all dims of the run, n_train // 5), at least 1.

    Args:
        dims: the widths of *all* models that appear in one table.
        n_train: the number of groups in the train half: n // 2 of n groups.
    """
    return max(1, min(*dims, n_train // 5))


@dataclass(frozen=True, slots=True)
class Principal:
    """The leading directions of one side, fitted to its train rows: `mean` [d], `axes` [d, k]."""

    mean: Matrix
    axes: Matrix

    @classmethod
    def fit(cls, x: Matrix, k: int, name: str = "x") -> Principal:
        """Return the k leading principal directions of `x`; directions beyond its rank are 0.

        Raises:
            DegenerateError: zero variance.
        """
        check_varies(x, name)
        mean = x.mean(axis=0)
        deviations = x - mean
        n, d = x.shape
        if n < d:
            values, left = np.linalg.eigh(deviations @ deviations.T)
            keep = min(k, n)
            values, left = values[::-1][:keep], left[:, ::-1][:, :keep]
            real = values > max(n, d) * np.finfo(np.float64).eps * values[0]
            axes = deviations.T @ left[:, real] / np.sqrt(values[real])
        else:
            values, right = np.linalg.eigh(deviations.T @ deviations)
            values, right = values[::-1][:k], right[:, ::-1][:, :k]
            axes = right[:, values > max(n, d) * np.finfo(np.float64).eps * values[0]]
        missing = k - axes.shape[1]
        return cls(mean, np.pad(axes, ((0, 0), (0, missing))) if missing else axes)

    def transform(self, x: Matrix) -> Matrix:
        """Return the coordinates [n, k] of `x` [n, d]."""
        return (x - self.mean) @ self.axes


@dataclass(frozen=True, slots=True)
class SharedBasis:
    """PCA of each side to k, unit trace, and the orthogonal map from x to y fitted to the train pairs."""

    x: Principal
    y: Principal
    scale_x: float
    scale_y: float
    rotation: Matrix

    @classmethod
    def fit(cls, x: ArrayLike, y: ArrayLike, k: int) -> SharedBasis:
        """Return the basis of these train pairs.

        Args:
            x: train rows [n, dx], n ≥ 10.
            y: their partners [n, dy].
            k: the width; see `shared_k`. It is the same for every pair of a run.

        Raises:
            InputError: k is larger than a side's width.
            TooFewSamplesError: fewer than 10 rows.
            DegenerateError: a side has no variance.

        Source:
            Schönemann (1966), Psychometrika 31, for the map.
        """
        a, b = check_pair(x, y)
        if len(a) < MIN_TRAIN:
            raise TooFewSamplesError(
                f"shared basis: expected at least {MIN_TRAIN} train rows, got {len(a)}; use more samples"
            )
        check_width(k, (a.shape[1], b.shape[1]))
        side_x, side_y = Principal.fit(a, k, "x"), Principal.fit(b, k, "y")
        return cls.join(side_x, side_y, side_x.transform(a), side_y.transform(b))

    @classmethod
    def join(cls, side_x: Principal, side_y: Principal, p: Matrix, q: Matrix) -> SharedBasis:
        """Return the basis of two fitted sides, given the coordinates of the train pairs in each [n, k].

        Each side has unit trace, and the map is the one that fits these pairs best.
        """
        scale_x, scale_y = map(_to_unit_trace, (p, q))
        left, _, right = np.linalg.svd(p.T @ q)
        return cls(side_x, side_y, scale_x, scale_y, left @ right)

    def transform(self, x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
        """Return both sides [n, k] in the basis."""
        return self.turned(self.x.transform(x), self.y.transform(y))

    def turned(self, p: Matrix, q: Matrix) -> tuple[Matrix, Matrix]:
        """Return the coordinates in the basis [n, k], given each side's own coordinates."""
        return p @ self.rotation * self.scale_x, q * self.scale_y


def _to_unit_trace(coordinates: Matrix) -> float:
    """Return the factor that gives centred rows [n, k] unit trace."""
    return float(np.sqrt((len(coordinates) - 1) / np.square(coordinates).sum()))


@dataclass(frozen=True, slots=True)
class Halves:
    """Both halves of each side in principal directions of its own, fitted to the train half.

    Args:
        train: which rows are in the train half [n].
        side_x: x's principal directions.
        side_y: y's.
        train_x: the coordinates of x's train rows [n_train, k].
        train_y: those of y's.
        held_x: the coordinates of x's held-out rows [n_held, k].
        held_y: those of y's.
    """

    train: NDArray[np.bool_]
    side_x: Principal
    side_y: Principal
    train_x: Matrix
    train_y: Matrix
    held_x: Matrix
    held_y: Matrix

    @classmethod
    def of(cls, x: Matrix, y: Matrix, train: NDArray[np.bool_], k: int) -> Halves:
        """Return the halves of x [n, dx] and y [n, dy]."""
        fitted_x, fitted_y, others_x, others_y = x[train], y[train], x[~train], y[~train]
        side_x, side_y = Principal.fit(fitted_x, k, "x"), Principal.fit(fitted_y, k, "y")
        return cls(
            train,
            side_x,
            side_y,
            side_x.transform(fitted_x),
            side_y.transform(fitted_y),
            side_x.transform(others_x),
            side_y.transform(others_y),
        )

    def joined(self, rows: NDArray[np.intp] | slice = slice(None)) -> SharedBasis:
        """Return the basis of the train pairs, or of x's train rows with these train rows of y."""
        return SharedBasis.join(self.side_x, self.side_y, self.train_x, self.train_y[rows])

    def held_out(self) -> tuple[Matrix, Matrix]:
        """Return the held-out rows [n_held, k], scaled as in the basis of any pairing but not yet turned.

        Raises:
            DegenerateError: a side's held-out rows are equal.
        """
        x, y = _check_held_out(self.held_x, self.held_y)
        return x * _to_unit_trace(self.train_x), y * _to_unit_trace(self.train_y)

    def covariances(self) -> tuple[Matrix, Matrix]:
        """Return the covariance [k, k] of each side's held-out rows.

        Raises:
            DegenerateError: a side's held-out rows are equal.
        """
        x, y = (np.cov(half, rowvar=False) for half in _check_held_out(self.held_x, self.held_y))
        return np.atleast_2d(x), np.atleast_2d(y)

    def within(self, permutations: NDArray[np.intp]) -> bool:
        """Return whether permutations [draws, n] keep each row in its half."""
        return bool((self.train[permutations] == self.train).all())

    def pairings(self, permutations: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the partners of x's train rows, given permutations within the halves [draws, n_train]."""
        place = np.cumsum(self.train) - 1
        paired: NDArray[np.intp] = place[permutations[:, self.train]]
        return paired


def check_width(k: int, dims: tuple[int, int]) -> None:
    """Raise InputError if a basis of `k` directions is wider than a side, or has none."""
    if not 1 <= k <= min(dims):
        raise InputError(f"k: expected 1 <= k <= {min(dims)}, the smaller width, got {k}")


def to_shared_basis(
    x: ArrayLike,
    y: ArrayLike,
    *,
    align: str = "procrustes",
    k: int | None = None,
    groups: ArrayLike | None = None,
    seed: int = 42,
) -> tuple[Matrix, Matrix]:
    """Return both sides in one basis, as the scores of the CORAL family need them.

    `"procrustes"`: `SharedBasis` fitted to the train half of the groups; the other half is returned. `"pca"`
    (for fidelity): a separate PCA of each side, so that covariances are diagonal and only eigenvalues are
    compared. `"none"` (for fidelity, or for a declared shared space): the sides as they are, which need equal
    widths.

    Args:
        x: vision side [n, dx].
        y: text side [n, dy].
        align: "procrustes", "pca" or "none".
        k: the width; by default that of `basis_settings` for this pair alone.
        groups: the unit of the split; by default, each row.
        seed: the seed of the split.

    Raises:
        InputError: an unknown `align`, or widths that don't allow it.
        TooFewSamplesError: fewer than 10 train groups.
        DegenerateError: a side has no variance.
    """
    a, b = check_pair(x, y, 2)
    names = check_groups(groups, len(a))
    dims = (a.shape[1], b.shape[1])
    width = basis_settings(count_of(names), dims, align=align, k=k)["k"]
    if align == "none":
        if dims[0] != dims[1]:
            raise InputError(
                f"align='none': expected equal widths, got {dims[0]} and {dims[1]}; use 'procrustes'"
            )
        return a, b
    check_width(width, dims)

    def compute() -> tuple[Matrix, Matrix]:
        if align == "pca":
            return Principal.fit(a, width, "x").transform(a), Principal.fit(b, width, "y").transform(b)
        fitted = fitted_halves(a, b, k=width, groups=names, seed=seed)
        return _check_held_out(*fitted.joined().turned(fitted.held_x, fitted.held_y))

    based = derived(("basis", align, width, names.tobytes(), seed), (a, b), compute)
    return based[0].copy(), based[1].copy()  # which anybody may change


def bases_without(
    x: Matrix,
    y: Matrix,
    blocks: Sequence[NDArray[np.intp]],
    *,
    align: str,
    k: int | None,
    groups: ArrayLike | None = None,
    seed: int = 42,
) -> Iterator[tuple[NDArray[np.intp], tuple[Matrix, Matrix]]]:
    """Yield the rows that stay without each block, and both sides of them in a basis of their own.

    The next metric gets the same bases.
    """
    names, rows = check_groups(groups, len(x)), np.arange(len(x))
    for block in blocks:
        stay = np.delete(rows, block)

        def compute(stay: NDArray[np.intp] = stay) -> tuple[Matrix, Matrix]:
            return to_shared_basis(x[stay], y[stay], align=align, k=k, groups=names[stay], seed=seed)

        what = "basis without", block.tobytes(), align, k, names.tobytes(), seed
        yield stay, derived(what, (x, y), compute)


def _check_train(groups: NDArray[np.str_], seed: int) -> NDArray[np.bool_]:
    from alignbench.stats.splits import train_half

    train = train_half(groups, seed)
    count = count_of(groups[train])
    if count < MIN_TRAIN:
        raise TooFewSamplesError(
            f"align='procrustes': expected at least {MIN_TRAIN} train groups, half of all, "
            f"got {count}; use more samples"
        )
    return train


def _check_held_out(x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
    for name, side in (("x", x), ("y", y)):
        if not np.ptp(side, axis=0).any():
            raise DegenerateError(f"{name}: zero variance of the held-out half in the shared basis")
    return x, y


def shuffled_bases(
    x: Matrix, y: Matrix, permutations: NDArray[np.intp], **settings: Any
) -> Iterator[tuple[Matrix, Matrix]]:
    """Yield the held-out halves of x and y[p] in the procrustes basis, fitted anew for each permutation p.

    Args:
        x: vision side [n, dx].
        y: text side [n, dy].
        permutations: permutations of the rows [draws, n].
        settings: the settings of `shuffled_halves`.
    """
    for _, held_out in shuffled_halves(x, y, permutations, **settings):
        yield _check_held_out(*held_out)


def shuffled_halves(
    x: Matrix,
    y: Matrix,
    permutations: NDArray[np.intp],
    *,
    k: int,
    groups: ArrayLike | None = None,
    seed: int = 42,
) -> Iterator[tuple[tuple[Matrix, Matrix], tuple[Matrix, Matrix]]]:
    """Yield the train and held-out halves of x and y[p] in the basis, fitted anew for each permutation p."""
    train = _check_train(check_groups(groups, len(x)), seed)
    side_x = Principal.fit(x[train], k, "x")
    train_x, held_x = side_x.transform(x[train]), side_x.transform(x[~train])
    for p in permutations:
        targets = y[p[train]]
        side_y = Principal.fit(targets, k, "y")
        train_y = side_y.transform(targets)
        basis = SharedBasis.join(side_x, side_y, train_x, train_y)
        yield basis.turned(train_x, train_y), basis.turned(held_x, side_y.transform(y[p[~train]]))


def halves(
    n: int, *, groups: ArrayLike | None = None, seed: int = 42, align: str = "procrustes", **_: Any
) -> NDArray[np.intp] | None:
    """Return the half of each row by the split that the basis is fitted with; None if there is none."""
    return _check_train(check_groups(groups, n), seed).astype(np.intp) if align == "procrustes" else None


def fitted_halves(x: Matrix, y: Matrix, *, k: int, groups: ArrayLike | None = None, seed: int = 42) -> Halves:
    """Return the halves of the split that the basis is fitted with."""
    names = check_groups(groups, len(x))
    what = "halves", k, names.tobytes(), seed
    return derived(what, (x, y), lambda: Halves.of(x, y, _check_train(names, seed), k))


def shuffled_covariances(
    x: Matrix,
    y: Matrix,
    permutations: NDArray[np.intp],
    *,
    k: int,
    groups: ArrayLike | None = None,
    seed: int = 42,
) -> Iterator[tuple[Matrix, Matrix]]:
    """Yield the covariances [k, k] of what `shuffled_bases` yields, for permutations within the `halves`.

    Such a permutation changes only the map between the sides: each side's directions and covariance stay.
    """
    fitted = fitted_halves(x, y, k=k, groups=groups, seed=seed)
    what = "covariances of halves", k, check_groups(groups, len(x)).tobytes(), seed
    cov_x, cov_y = derived(what, (x, y), fitted.covariances)
    for rows in fitted.pairings(permutations):
        basis = fitted.joined(rows)
        turned = basis.rotation.T @ cov_x @ basis.rotation
        yield turned * basis.scale_x**2, cov_y * basis.scale_y**2


def basis_settings(
    n: int, dims: tuple[int, ...], *, align: str = "procrustes", k: int | None = None
) -> dict[str, Any]:
    """Return `align` and the width k, fixed at its value for the full n; `shared_k` gives a run's k.

    Raises:
        InputError: an unknown `align`.
    """
    if align not in ALIGN:
        raise InputError(f"align: expected one of {', '.join(ALIGN)}, got {align!r}")
    if k is None and align == "procrustes":
        k = shared_k(dims, n // 2)
    elif k is None or align == "none":
        k = min(*dims, n - 1) if align == "pca" else min(dims)
    return {"align": align, "k": int(k)}
