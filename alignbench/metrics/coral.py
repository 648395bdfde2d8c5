"""Deep CORAL and related scores: how far apart two distributions are. None of them sees the pairing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import InputError
from alignbench.metrics.base import METRICS, Function, Metric
from alignbench.metrics.basis import basis_settings, to_shared_basis
from alignbench.metrics.blocks import FEW
from alignbench.metrics.checks import (
    bounded,
    check_varies,
    pair_to_center,
    standardized,
)
from alignbench.metrics.coral_family import coral_distance_of, deletions_of, ncoral_of, shuffled_null
from alignbench.metrics.covariances import covariance, ledoit_wolf, lower_covariance
from alignbench.metrics.triangles import square_sum

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

SATURATION = 1e-3  # below this distance, coral_similarity is close to 1 for every encoder


def _based(name: str, **declared: Any) -> Callable[[Function], Function]:
    """Register a function of two sides in a shared basis, with the steps that map them there."""

    def decorate(fn: Function) -> Function:
        declaration = {"family": "coral", "symmetric": True, **declared}
        METRICS.add(
            Metric(
                name=name,
                fn=fn,
                same_width=True,
                needs=("groups", "seed"),
                settings=basis_settings,
                prepare=to_shared_basis,
                null=shuffled_null(name, fn),
                deletions=deletions_of(name, declared["bounds"]),
                **declaration,
            )
        )
        return fn

    return decorate


def check_shared(x: ArrayLike, y: ArrayLike) -> tuple[Matrix, Matrix]:
    """Return both sides, after checking that they have the same width and some variance.

    Raises:
        InputError: the widths differ, so there is no shared basis.
        DegenerateError: a side has no variance.
    """
    a, b = _same_width(x, y)
    check_varies(a, "x")
    check_varies(b, "y")
    return a, b


def _same_width(x: ArrayLike, y: ArrayLike) -> tuple[Matrix, Matrix]:
    a, b = pair_to_center(x, y, 2)
    if a.shape[1] != b.shape[1]:
        raise InputError(
            f"x and y: expected a shared basis, got widths {a.shape[1]} and {b.shape[1]}; "
            "use align='procrustes' (SharedBasis) or a spectral score"
        )
    return a, b


@_based(
    "coral_distance",
    bounds=(0, np.inf),
    self_value=0.0,
    invariant_to=("joint_rotation", "translation"),
    higher_is_better=False,
    streamed=lambda sample, align, k: sample.based(align, k)["coral_distance"],
)
def coral_distance(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return the Deep CORAL loss, the difference of two covariances in one basis; it sees no pairing.

    $\frac{1}{4d^2}\|C_s - C_t\|_F^2$, with covariances normalised by n−1.

    Args:
        x: source [n, d].
        y: target [n, d], in the same basis.

    Returns:
        A value ≥ 0; 0 if the covariances are equal, whatever the means.

    Raises:
        InputError: not finite matrices of equal shape.
        DegenerateError: a side has no variance.

    Source:
        Sun and Saenko (2016), Deep CORAL, arXiv 1607.01719, eq. 1.
    """
    a, b = _same_width(x, y)
    if len(a) <= FEW:
        return coral_distance_of(covariance(a, "x"), covariance(b, "y"))
    with np.errstate(over="ignore", invalid="ignore"):
        gap = lower_covariance(a, "x")
        gap -= lower_covariance(b, "y")
        value = square_sum(gap) / (4 * len(gap) ** 2)
    return bounded(value, (0, np.inf), "coral_distance")


def _saturated(value: float, parts: Mapping[str, float]) -> tuple[str, ...]:
    return ("saturated",) if value > 1 / (1 + SATURATION) else ()


@_based(
    "coral_similarity",
    bounds=(0, 1),
    self_value=1.0,
    invariant_to=("joint_rotation", "translation"),
    flags=_saturated,
    streamed=lambda sample, align, k: sample.based(align, k)["coral_similarity"],
)
def coral_similarity(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return 1 / (1 + CORAL distance). It saturates, and does not see the pairing.

    Rows of unit length have $\|C_s - C_t\|^2 \le 2(n/(n-1))^2$, so at d = 768 it is at least .999999 for any
    encoder. It is reported for fidelity, and flagged `saturated` if the distance is below 10⁻³.

    Args:
        x: source [n, d].
        y: target [n, d], in the same basis.

    Returns:
        A value in (0, 1].

    Raises:
        InputError: not finite matrices of equal shape.
        DegenerateError: a side has no variance.

    Source:
        `coral_distance`; the reciprocal comes from the original toolkit.
    """
    return 1 / (1 + coral_distance(x, y))


@_based(
    "ncoral",
    bounds=(0, 1),
    self_value=0.0,
    invariant_to=("joint_rotation", "isotropic_scale", "translation"),
    higher_is_better=False,
    streamed=lambda sample, align, k: sample.based(align, k)["ncoral"],
)
def ncoral(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return the CORAL distance of unit-trace covariances as a share of the largest possible one.

    $\frac{\|C_s - C_t\|^2}{\|C_s\|^2 + \|C_t\|^2}$ with $\mathrm{tr}\,C = 1$. Equal widths are not a shared
    basis: rotating one side alone changes it a lot. It does not see the pairing.

    Args:
        x: source [n, d].
        y: target [n, d], in the same basis.

    Returns:
        A value in [0, 1]: 0 for equal shapes, 1 for covariances that have no direction in common.

    Raises:
        InputError: not finite matrices of equal shape.
        DegenerateError: a side has no variance.

    Source:
        Sun and Saenko (2016), arXiv 1607.01719; the normalisation is ours.
    """
    a, b = check_shared(x, y)
    return ncoral_of(covariance(standardized(a)), covariance(standardized(b)))


@_based(
    "mean_distance",
    bounds=(0, np.inf),
    self_value=0.0,
    invariant_to=("joint_rotation", "joint_translation"),
    higher_is_better=False,
    streamed=lambda sample, align, k: sample.based(align, k)["mean_distance"],
)
def mean_distance(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return the distance of the two means, $\|\bar x - \bar y\|_2$, which CORAL leaves out.

    Args:
        x: source [n, d].
        y: target [n, d], in the same basis.

    Returns:
        A value ≥ 0, in the units of the basis.

    Raises:
        InputError: not finite matrices of equal shape.
        DegenerateError: a side has no variance.

    Source:
        The linear-kernel maximum mean discrepancy, Gretton et al. (2012), JMLR 13.
    """
    a, b = check_shared(x, y)
    with np.errstate(over="ignore", invalid="ignore"):
        value = float(np.linalg.norm(a.mean(axis=0) - b.mean(axis=0)))
    return bounded(value, (0, np.inf), "mean_distance")


def _root(x: Matrix) -> Matrix:
    """Return a matrix R with RᵀR = XᵀX and no more rows than needed."""
    if len(x) <= x.shape[1]:
        return x
    triangle: Matrix = np.asarray(np.linalg.qr(x, mode="r"))
    return triangle


@_based(
    "bures_similarity",
    bounds=(0, 1),
    self_value=1.0,
    invariant_to=("joint_rotation", "isotropic_scale", "translation"),
    streamed=lambda sample, align, k: sample.based(align, k)["bures_similarity"],
)
def bures_similarity(x: ArrayLike, y: ArrayLike) -> float:
    r"""Return the normalised fidelity of two covariances: the optimal-transport counterpart of ncoral.

    $\frac{\mathrm{tr}\,(C_s^{1/2} C_t C_s^{1/2})^{1/2}}{\sqrt{\mathrm{tr}\,C_s\,\mathrm{tr}\,C_t}}$, computed
    as $\|XY^\top\|_* / (\|X\|\|Y\|)$ of the centred sides, which needs no matrix root. It does not see the
    pairing.

    Args:
        x: source [n, d].
        y: target [n, d], in the same basis.

    Returns:
        A value in [0, 1]; 1 for covariances of the same shape.

    Raises:
        InputError: not finite matrices of equal shape.
        DegenerateError: a side has no variance.

    Source:
        Bhatia, Jain, Lim (2019), Expositiones Mathematicae 37, 165-191.
    """
    sides = check_shared(x, y)
    a, b = (_root(standardized(side)) for side in sides)
    fidelity = float(np.linalg.norm(a @ b.T, ord="nuc"))
    return bounded(fidelity / float(np.linalg.norm(a) * np.linalg.norm(b)), (0, 1), "bures_similarity")


@_based(
    "coral_distance_lw",
    bounds=(0, np.inf),
    self_value=0.0,
    invariant_to=("joint_rotation", "translation"),
    higher_is_better=False,
    family="coral_lw",
    grows="blocks",
)
def coral_distance_lw(x: ArrayLike, y: ArrayLike) -> float:
    """Return `coral_distance` of Ledoit-Wolf covariances, which is more stable if n is small relative to d.

    Args, Returns, Raises: as `coral_distance`.

    Source:
        `ledoit_wolf`.
    """
    a, b = check_shared(x, y)
    with np.errstate(over="ignore", invalid="ignore"):
        return coral_distance_of(ledoit_wolf(a), ledoit_wolf(b))


@_based(
    "ncoral_lw",
    bounds=(0, 1),
    self_value=0.0,
    invariant_to=("joint_rotation", "isotropic_scale", "translation"),
    higher_is_better=False,
    family="coral_lw",
    grows="blocks",
)
def ncoral_lw(x: ArrayLike, y: ArrayLike) -> float:
    """Return `ncoral` of Ledoit-Wolf covariances, which is more stable if n is small relative to d.

    Args, Returns, Raises: as `ncoral`.

    Source:
        `ledoit_wolf`.
    """
    a, b = check_shared(x, y)
    return ncoral_of(ledoit_wolf(standardized(a)), ledoit_wolf(standardized(b)))
