"""Scores of shared nearest neighbours: mutual k-NN and CKNNA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import DegenerateError, InputError
from alignbench.metrics.base import METRICS, NullModel
from alignbench.metrics.checks import bounded, check_pair, standardized
from alignbench.metrics.nulls import matched_products, within_class_mean

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

TIE = 1e-9  # cosines closer than this are tied: rounding alone must not choose a neighbour
NOTHING = 1e-20  # a share of a squared norm that is rounding
NO_DIRECTION = 1e-8  # a row this much nearer to the mean than the farthest one has no direction


def default_k(n: int) -> int:
    """Return the number of neighbours for n rows: min(10, (n−1)//3), at least 1."""
    return max(1, min(10, (n - 1) // 3))


def check_k(k: int | None, n: int) -> int:
    """Return `k`, or the default for n rows.

    Raises:
        InputError: not within 1 … n−2 (with n−1 everyone is everyone's neighbour).
    """
    chosen = default_k(n) if k is None else int(k)
    if not 1 <= chosen <= n - 2:
        raise InputError(f"k: expected 1 <= k <= n - 2 = {n - 2} neighbours, got {chosen}")
    return chosen


def cosine_directions(x: Matrix) -> Matrix:
    """Return the rows of centred `x` at unit length; a row at the mean, which has no direction, becomes 0."""
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    nowhere = lengths <= NO_DIRECTION * lengths.max()
    return np.where(nowhere, 0.0, x / np.where(nowhere, 1.0, lengths))


def top_k_weights(similarity: Matrix, k: int) -> Matrix:
    """Return how much each column is among the k most similar of its row, [m, n]; rows sum to k.

    Columns tied at the border share the places that are left, as breaking the ties by lot would on average.
    """
    n = similarity.shape[1]
    border = np.partition(similarity, n - k, axis=1)[:, n - k, None]
    above = similarity > border + TIE
    tied = (similarity >= border - TIE) & ~above
    left = k - above.sum(axis=1, keepdims=True)
    weights: Matrix = above + tied * (left / tied.sum(axis=1, keepdims=True))
    return weights


def neighbor_weights(x: Matrix, k: int) -> Matrix:
    """Return the k cosine neighbours of each row of centred `x` as weights [n, n], itself excluded."""
    directions = cosine_directions(x)
    similarity = directions @ directions.T
    np.fill_diagonal(similarity, -np.inf)
    return top_k_weights(similarity, k)


def _both(x: ArrayLike, y: ArrayLike, k: int | None, min_n: int) -> tuple[Matrix, Matrix, int]:
    a, b = check_pair(x, y, min_n)
    chosen = check_k(k, len(a))
    return (
        neighbor_weights(standardized(a, "x"), chosen),
        neighbor_weights(standardized(b, "y"), chosen),
        chosen,
    )


def neighbor_settings(n: int, dims: tuple[int, ...], *, k: int | None = None) -> dict[str, Any]:
    """Return the number of neighbours, fixed at that of the full n."""
    return {"k": check_k(k, n)}


def _mutual_null(x: ArrayLike, y: ArrayLike, k: int | None = None) -> tuple[float, float]:
    n = len(check_pair(x, y, 4)[0])
    return check_k(k, n) / (n - 1), float("nan")


def _mutual_draw(
    x: Matrix, y: Matrix, permutations: NDArray[np.intp], k: int | None = None
) -> NDArray[np.float64]:
    a, b, chosen = _both(x, y, k, 4)
    return matched_products(a, b, permutations) / (len(a) * chosen)


def _mutual_within_mean(x: ArrayLike, y: ArrayLike, codes: NDArray[np.intp], k: int | None = None) -> float:
    a, b, chosen = _both(x, y, k, 4)
    return within_class_mean(a, b, codes) / (len(a) * chosen)


@METRICS.register(
    "mutual_knn",
    family="neighbors",
    pairing=True,
    bounds=(0, 1),
    symmetric=True,
    invariant_to=("rotation", "isotropic_scale", "translation"),
    min_n=4,
    settings=neighbor_settings,
    chance=lambda n, codes, settings: settings["k"] / (n - 1),
    null=NullModel(draw=_mutual_draw, exact=_mutual_null, within_mean=_mutual_within_mean),
    squares=4.5,
)
def mutual_knn(x: ArrayLike, y: ArrayLike, *, k: int | None = None) -> float:
    r"""Return the mean share of nearest neighbours that both sides have in common.

    $\frac{1}{nk}\sum_i |N_k(x_i) \cap N_k(y_i)|$, cosine neighbours after centring, a row not its own
    neighbour. Where neighbours are tied at the border it is the expectation over all ways of breaking the
    ties, each side for itself; so ties lower even the score of x with itself, which is 1 without them.

    Args:
        x: vision side [n, dx], n ≥ 4.
        y: text side [n, dy].
        k: neighbours; min(10, (n−1)//3) by default.

    Returns:
        A value in [0, 1]; chance, exactly the mean over all re-pairings, is k/(n−1).

    Raises:
        InputError: not finite matrices of equal length; or k outside 1 … n−2.
        DegenerateError: a side without variance, or fewer than 4 rows.

    Source:
        Huh et al. (2024), arXiv 2405.07987.
    """
    a, b, chosen = _both(x, y, k, 4)
    return bounded(float(np.vdot(a, b)) / (len(a) * chosen), (0, 1), "mutual_knn")


def _mask(a: Matrix, b: Matrix) -> Matrix:
    """Return the symmetric mask of pairs that are neighbours on both sides, in either direction."""
    both = a * b
    return np.maximum(both, both.T)


def _masked_cosine(mask: Matrix, a: Matrix, b: Matrix) -> float | None:
    """Return the cosine of the kernels' entries on the mask; None where one is only rounding there."""
    masked_a, masked_b = mask * a, mask * b
    squared_a, squared_b = float(np.vdot(masked_a, a)), float(np.vdot(masked_b, b))
    if squared_a <= NOTHING * float(np.vdot(a, a)) or squared_b <= NOTHING * float(np.vdot(b, b)):
        return None
    return float(np.vdot(masked_a, b) / np.sqrt(squared_a * squared_b))


def _cknna_kernels(x: ArrayLike, y: ArrayLike, k: int | None) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    a, b = check_pair(x, y, 5)
    a, b = standardized(a, "x"), standardized(b, "y")
    chosen = check_k(k, len(a))
    return neighbor_weights(a, chosen), neighbor_weights(b, chosen), a @ a.T, b @ b.T


def _cknna_draw(
    x: Matrix, y: Matrix, permutations: NDArray[np.intp], k: int | None = None
) -> NDArray[np.float64]:
    near_x, near_y, a, b = _cknna_kernels(x, y, k)
    scores = np.zeros(len(permutations))  # a pairing without a common neighbour has no local similarity: 0
    for row, p in enumerate(permutations):
        mask = _mask(near_x, near_y[p].take(p, axis=1))
        scores[row] = _masked_cosine(mask, a, b[p].take(p, axis=1)) or 0.0
    return scores


@METRICS.register(
    "cknna",
    family="neighbors",
    pairing=True,
    bounds=(-1, 1),
    symmetric=True,
    self_value=1.0,
    invariant_to=("rotation", "isotropic_scale", "translation"),
    min_n=5,
    settings=neighbor_settings,
    null=NullModel(draw=_cknna_draw),
    squares=8,
)
def cknna(x: ArrayLike, y: ArrayLike, *, k: int | None = None) -> float:
    r"""Return CKA on the neighbourhoods that both sides share.

    The cosine of the centred Gram entries on the mask $M = (M_X \circ M_Y) \vee (M_X \circ M_Y)^\top$ of
    mutual neighbours (those of `mutual_knn`), zero diagonal; numerator and both norms over the same M, so it
    is a cosine. High by construction where few neighbours are shared: read it beside its null, and beside
    `mutual_knn`.

    Args:
        x: vision side [n, dx], n ≥ 5.
        y: text side [n, dy].
        k: neighbours; min(10, (n−1)//3) by default.

    Returns:
        A value in [−1, 1].

    Raises:
        InputError: not finite matrices of equal length; or k outside 1 … n−2.
        DegenerateError: no neighbour in common, or no structure among those; a side without variance; or
            fewer than 5 rows.

    Source:
        Huh et al. (2024), arXiv 2405.07987, appendix A; the common mask is ours.
    """
    near_x, near_y, a, b = _cknna_kernels(x, y, k)
    score = _masked_cosine(_mask(near_x, near_y), a, b)
    if score is None:
        raise DegenerateError("cknna: no structure on the neighbours that both share; use a larger k")
    return bounded(score, (-1, 1), "cknna")
