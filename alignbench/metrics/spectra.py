"""Scores of the two covariance spectra alone: for any dimensions, without shared basis or pairing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.base import METRICS
from alignbench.metrics.checks import bounded, check_pair, standardized

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

INVARIANCES = ("rotation", "isotropic_scale", "translation")


def spectrum(x: ArrayLike, name: str = "x") -> Matrix:
    """Return the covariance's eigenvalues as shares of their sum, largest first: [min(n, d)].

    Raises:
        InputError: not a finite matrix.
        DegenerateError: the variance is zero.
    """
    a, _ = check_pair(x, x, 2)
    deviations = standardized(a, name)
    n, d = deviations.shape
    values = np.linalg.eigvalsh(deviations @ deviations.T if n < d else deviations.T @ deviations)
    values = np.maximum(values[::-1], 0.0)
    shares: Matrix = values / values.sum()
    return shares


def rank_of(shares: Matrix, n: int, d: int) -> int:
    """Return how many shares of the variance of a side [n, d] are more than rounding."""
    return int((shares > max(n, d) * np.finfo(np.float64).eps * shares[0]).sum())


def truncated_spectra(x: ArrayLike, y: ArrayLike) -> tuple[Matrix, Matrix]:
    """Return both spectra, cut to the smaller rank r and renormalised, so that all entries are above 0."""
    a, b = check_pair(x, y, 2)
    p, q = spectrum(a, "x"), spectrum(b, "y")
    return truncated(p, q, rank_of(p, *a.shape), rank_of(q, *b.shape))


def truncated(p: Matrix, q: Matrix, rank_p: int, rank_q: int) -> tuple[Matrix, Matrix]:
    """Return two spectra, cut to the smaller rank and renormalised."""
    r = min(rank_p, rank_q)
    return p[:r] / p[:r].sum(), q[:r] / q[:r].sum()


@METRICS.register(
    "spectral_ncoral",
    family="spectra",
    bounds=(0, 1),
    symmetric=True,
    self_value=0.0,
    invariant_to=INVARIANCES,
    higher_is_better=False,
    streamed=lambda sample: ncoral_of_spectra(*sample.spectra),
)
def spectral_ncoral(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return how much two normalised spectra differ: the value of ncoral in the best of all bases.

    $\frac{\|p - q\|^2}{\|p\|^2 + \|q\|^2}$, where p and q are the sorted eigenvalues over their sum,
    zero-padded.

    Args:
        x: one side [n, dx].
        y: the other [n, dy].

    Returns:
        A value in [0, 1]; 0 for spectra of the same shape, whatever their directions.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a side has no variance.
    """
    a, b = check_pair(x, y, 2)
    return ncoral_of_spectra(spectrum(a, "x"), spectrum(b, "y"))


def ncoral_of_spectra(p: Matrix, q: Matrix) -> float:
    """Return `spectral_ncoral` of two spectra."""
    size = max(len(p), len(q))
    p, q = np.pad(p, (0, size - len(p))), np.pad(q, (0, size - len(q)))
    value = float(np.square(p - q).sum() / (np.square(p).sum() + np.square(q).sum()))
    return bounded(value, (0, 1), "spectral_ncoral")


def _divergence(p: Matrix, q: Matrix) -> float:
    return float((p * np.log(p / q)).sum())


def divergence_of_spectra(p: Matrix, q: Matrix) -> float:
    """Return `spectral_divergence` of two truncated spectra."""
    middle = (p + q) / 2
    value = (_divergence(p, middle) + _divergence(q, middle)) / 2
    return bounded(value, (0, float(np.log(2))), "spectral_divergence")


def kl_of_spectra(p: Matrix, q: Matrix) -> float:
    """Return `spectral_kl` of two truncated spectra."""
    return bounded((_divergence(p, q) + _divergence(q, p)) / 2, (0, np.inf), "spectral_kl")


@METRICS.register(
    "spectral_divergence",
    family="spectra",
    bounds=(0, float(np.log(2))),
    symmetric=True,
    self_value=0.0,
    invariant_to=INVARIANCES,
    higher_is_better=False,
    unit="nats",
    streamed=lambda sample: divergence_of_spectra(*sample.truncated_spectra),
)
def spectral_divergence(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return the Jensen-Shannon divergence of two spectra, cut to the smaller rank.

    $\tfrac12 \mathrm{KL}(p\|m) + \tfrac12 \mathrm{KL}(q\|m)$, m = (p+q)/2.

    Args:
        x: one side [n, dx].
        y: the other [n, dy].

    Returns:
        A value in [0, ln 2], in nats.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a side has no variance.

    Source:
        Lin (1991), IEEE Transactions on Information Theory 37.
    """
    return divergence_of_spectra(*truncated_spectra(x, y))


@METRICS.register(
    "spectral_kl",
    family="spectra",
    bounds=(0, np.inf),
    symmetric=True,
    self_value=0.0,
    invariant_to=INVARIANCES,
    higher_is_better=False,
    unit="nats",
    streamed=lambda sample: kl_of_spectra(*sample.truncated_spectra),
)
def spectral_kl(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return the symmetrised Kullback-Leibler divergence of two spectra, as in the original toolkit.

    $\tfrac12(\mathrm{KL}(p\|q) + \mathrm{KL}(q\|p))$, cut to the smaller rank; its smallest eigenvalues
    dominate it.

    Args:
        x: one side [n, dx].
        y: the other [n, dy].

    Returns:
        A value ≥ 0, in nats.

    Raises:
        InputError: not finite matrices of equal length.
        DegenerateError: a side has no variance.
    """
    return kl_of_spectra(*truncated_spectra(x, y))
