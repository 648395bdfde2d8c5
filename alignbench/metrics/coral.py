"""Deep CORAL and related scores: how far apart two distributions are. None of them sees the pairing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import InputError
from alignbench.metrics.base import METRICS, Function, Metric, NullModel
from alignbench.metrics.basis import (
    bases_without,
    basis_settings,
    fitted_halves,
    halves,
    shuffled_bases,
    to_shared_basis,
)
from alignbench.metrics.blocks import FEW
from alignbench.metrics.checks import (
    bounded,
    check_groups,
    check_varies,
    pair_to_center,
    standardized,
)
from alignbench.metrics.covariances import covariance, ledoit_wolf, lower_covariance
from alignbench.metrics.derived import derived, digest
from alignbench.metrics.procrustes import nuclear_norm
from alignbench.metrics.triangles import square_sum

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

SATURATION = 1e-3  # below this distance, coral_similarity is close to 1 for every encoder
SHUFFLES = 49


def scores_of(c: Matrix, d: Matrix, distance: Matrix) -> dict[str, float]:
    """Return the scores of two sides in a basis by name.

    Args:
        c: x's covariance [d, d].
        d: y's.
        distance: x's mean minus y's [d].
    """
    coral = coral_distance_of(c, d)
    fidelity = nuclear_norm(_root_of(c) @ _root_of(d).T)
    return {
        "coral_distance": coral,
        "coral_similarity": 1 / (1 + coral),
        "ncoral": ncoral_of(c, d),
        "mean_distance": float(np.linalg.norm(distance)),
        "bures_similarity": bounded(
            fidelity / np.sqrt(float(np.trace(c)) * float(np.trace(d))), (0, 1), "bures_similarity"
        ),
    }


def _root_of(covariance: Matrix) -> Matrix:
    """Return a matrix R with RᵀR = C."""
    try:
        return np.asarray(np.linalg.cholesky(covariance), dtype=np.float64).T
    except np.linalg.LinAlgError:  # there is a direction without variance
        values, vectors = np.linalg.eigh(covariance)
        root: Matrix = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
        return root


def _shrunk_scores_of(c: Matrix, d: Matrix) -> dict[str, float]:
    """Return the scores of two Ledoit-Wolf covariances [d, d] by name."""
    return {"coral_distance_lw": coral_distance_of(c, d), "ncoral_lw": ncoral_of(c, d)}


def _scores_without(bases: Iterable[tuple[Matrix, Matrix]]) -> Iterator[dict[str, float]]:
    """Yield all scores of the family for both sides in each basis."""
    for x, y in bases:
        plain = scores_of(covariance(x, "x"), covariance(y, "y"), x.mean(axis=0) - y.mean(axis=0))
        yield plain | _shrunk_scores_of(ledoit_wolf(x), ledoit_wolf(y))


def _shuffled_scores(
    x: Matrix, y: Matrix, permutations: NDArray[np.intp], **settings: Any
) -> Iterator[dict[str, float]]:
    """Yield all scores of the family for permutations within the halves, which change only the map."""
    fitted = fitted_halves(x, y, **settings)
    sides = fitted.held_x, fitted.held_y
    plain, shrunk = fitted.covariances(), tuple(map(ledoit_wolf, sides))
    mean_x, mean_y = (side.mean(axis=0)[None] for side in sides)
    for rows in fitted.pairings(permutations):
        basis = fitted.joined(rows)
        turned_x, turned_y = basis.turned(mean_x, mean_y)
        yield (
            scores_of(*basis.turned_covariances(*plain), (turned_x - turned_y)[0])
            | _shrunk_scores_of(*basis.turned_covariances(*shrunk))
        )


def _shuffled_null(name: str, fn: Callable[[Matrix, Matrix], float]) -> NullModel:
    """Return the value on shuffled pairs that is shown with a score in a fitted basis, without a test.

    The orthogonal map has seen the pairing; the score itself has not, so it has no null.
    """

    def draw(
        x: Matrix, y: Matrix, permutations: NDArray[np.intp], *, align: str, **settings: Any
    ) -> NDArray[np.float64]:
        half = halves(len(x), **settings)
        if len(x) > FEW and half is not None and (half[permutations] == half).all():
            what = "shuffled", digest(permutations), *_named(x, **settings)
            return _shared(name, x, y, what, _shuffled_scores(x, y, permutations, **settings))
        return np.asarray([fn(*based) for based in shuffled_bases(x, y, permutations, **settings)])

    return NullModel(
        draw=draw,
        draws=SHUFFLES,
        stream="bases",
        test=False,
        strata=halves,
        applies=lambda settings: settings["align"] == "procrustes",
    )


def _deletions_of(name: str, bounds: tuple[float, float]) -> Callable[..., Matrix | None]:
    """Return what computes the scores without each block from bases that the family shares."""

    def deletions(
        x: Matrix, y: Matrix, blocks: Sequence[NDArray[np.intp]], *, align: str, **settings: Any
    ) -> Matrix | None:
        if len(x) <= FEW or align != "procrustes":
            return None
        bases = (based for _, based in bases_without(x, y, blocks, align=align, **settings))
        what = "without", digest(np.concatenate(blocks)), tuple(map(len, blocks)), *_named(x, **settings)
        scores = _shared(name, x, y, what, _scores_without(bases))
        return np.asarray([bounded(score, bounds, name) for score in scores])

    return deletions


def _shared(
    name: str, x: Matrix, y: Matrix, what: tuple[Hashable, ...], scores: Iterable[dict[str, float]]
) -> NDArray[np.float64]:
    """Return one of the family's scores, and keep all of them for the next metric.

    Sides in a basis take far more time and memory than all scores of them: they are made once, and not kept.
    """
    return np.asarray([of[name] for of in derived(("family", *what), (x, y), lambda: list(scores))])


def _named(x: Matrix, *, k: int, groups: ArrayLike | None = None, seed: int = 42) -> tuple[Hashable, ...]:
    """Return the settings of a basis as a part of a name."""
    return k, check_groups(groups, len(x)).tobytes(), seed


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
                null=_shuffled_null(name, fn),
                deletions=_deletions_of(name, declared["bounds"]),
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


def unit_trace(matrix: Matrix) -> Matrix:
    """Return a covariance scaled to trace 1, which keeps its shape and drops its size."""
    scaled: Matrix = matrix / np.trace(matrix)
    return scaled


def coral_distance_of(c: Matrix, d: Matrix) -> float:
    """Return the CORAL distance of two covariances [d, d]; see `coral_distance`."""
    with np.errstate(over="ignore", invalid="ignore"):
        gap = c - d
        value = float(np.square(gap, out=gap).sum()) / (4 * len(c) ** 2)
    return bounded(value, (0, np.inf), "coral_distance")


def ncoral_of(c: Matrix, d: Matrix) -> float:
    """Return ncoral of two covariances [d, d]; see `ncoral`."""
    c, d = unit_trace(c), unit_trace(d)
    value = float(np.square(c - d).sum() / (np.square(c).sum() + np.square(d).sum()))
    return bounded(value, (0, 1), "ncoral")


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
