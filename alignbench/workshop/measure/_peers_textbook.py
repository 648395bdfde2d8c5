"""The scores that other code computes, too, as their sources write them, in numpy, scipy, torch or sklearn.

Nothing here calls alignbench, apart from the folds of ridge regression, which are a definition. Inputs are
taken as they are: nothing is checked, and ties are broken by chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.stats.splits import assign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]
    Search = Callable[[Matrix, int], Indices]


def _centered(x: Matrix) -> Matrix:
    result: Matrix = x - x.mean(axis=0)
    return result


def cka_of_features(x: Matrix, y: Matrix) -> float:
    """Return linear CKA from products of columns, as Kornblith et al. (2019) write it."""
    a, b = _centered(x), _centered(y)
    cross, own_a, own_b = np.linalg.norm(a.T @ b), np.linalg.norm(a.T @ a), np.linalg.norm(b.T @ b)
    return float(cross**2 / (own_a * own_b))


def cka_of_grams(x: Matrix, y: Matrix) -> float:
    """Return linear CKA from the Gram matrices of centred columns."""
    a, b = _centered(x), _centered(y)
    k, l = a @ a.T, b @ b.T  # noqa: E741
    return float(np.vdot(k, l) / (np.linalg.norm(k) * np.linalg.norm(l)))


def _hsic(k: Matrix, l: Matrix) -> float:  # noqa: E741
    """Return n(n−3)·HSIC₁ of two matrices with zero diagonals (Song et al. 2012, eq. 5)."""
    n = len(k)
    pairs = np.einsum("ij,ji->", k, l) - 2 / (n - 2) * (k.sum(axis=0) @ l.sum(axis=1))
    return float(pairs + k.sum() * l.sum() / ((n - 1) * (n - 2)))


def debiased_of_grams(x: Matrix, y: Matrix) -> float:
    """Return debiased CKA from Gram matrices without diagonal."""
    k, l = x @ x.T, y @ y.T  # noqa: E741
    np.fill_diagonal(k, 0)
    np.fill_diagonal(l, 0)
    return float(_hsic(k, l) / np.sqrt(_hsic(k, k) * _hsic(l, l)))


def debiased_of_features(x: Matrix, y: Matrix) -> float:
    """Return debiased CKA from products of columns and lengths of rows, as Kornblith et al. published it."""
    a, b, n = _centered(x), _centered(y), len(x)

    def term(p: Matrix, q: Matrix) -> float:
        rows_p, rows_q = np.square(p).sum(axis=1), np.square(q).sum(axis=1)
        norm = np.linalg.norm(p.T @ q) ** 2 - n / (n - 2) * (rows_p @ rows_q)
        return float(norm + rows_p.sum() * rows_q.sum() / ((n - 1) * (n - 2)))

    return term(a, b) / float(np.sqrt(term(a, a) * term(b, b)))


def squared_by_products(x: Matrix) -> Matrix:
    """Return all squared distances [n, n] from one product of rows."""
    rows = np.square(x).sum(axis=1)
    result: Matrix = np.maximum(rows[:, None] + rows - 2 * (x @ x.T), 0)
    np.fill_diagonal(result, 0)
    return result


def squared_by_pairs(x: Matrix) -> Matrix:
    """Return all squared distances [n, n], pair by pair."""
    from scipy.spatial.distance import pdist, squareform

    result: Matrix = squareform(pdist(x, "sqeuclidean"))
    return result


def _doubly_centered(k: Matrix) -> Matrix:
    result: Matrix = k - k.mean(axis=0) - k.mean(axis=1)[:, None] + k.mean()
    return result


def rbf(x: Matrix, y: Matrix, distances: Callable[[Matrix], Matrix]) -> float:
    """Return CKA with Gaussian kernels, whose width is the median distance of two rows."""
    upper = np.triu_indices(len(x), 1)
    squared = distances(x), distances(y)
    k, l = (_doubly_centered(np.exp(-s / (2 * np.median(s[upper])))) for s in squared)  # noqa: E741
    return float(np.vdot(k, l) / (np.linalg.norm(k) * np.linalg.norm(l)))


def _unit(x: Matrix) -> Matrix:
    result: Matrix = x / np.linalg.norm(x, axis=1, keepdims=True)
    return result


def nearest_by_partition(scores: Matrix, k: int) -> Indices:
    """Return the columns of the k largest scores of each row, by numpy."""
    result: Indices = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return result


def nearest_by_torch(scores: Matrix, k: int) -> Indices:
    """Return the columns of the k largest scores of each row, by torch."""
    import torch

    result: Indices = torch.topk(torch.from_numpy(scores), k, dim=1, sorted=False).indices.numpy()
    return result


def _neighbors(x: Matrix, k: int, search: Search) -> Indices:
    scores = x @ x.T
    np.fill_diagonal(scores, -np.inf)
    return search(scores, k)


def _neighbors_of_sklearn(x: Matrix, k: int) -> Indices:
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(x)
    result: Indices = found.kneighbors(return_distance=False)
    return result


def _shared(a: Indices, b: Indices) -> float:
    return float((a[:, :, None] == b[:, None, :]).sum() / a.size)


def mutual(x: Matrix, y: Matrix, k: int, search: Search) -> float:
    """Return the share of common cosine neighbours of centred rows, from all cosines at once."""
    a, b = (_neighbors(_unit(_centered(side)), k, search) for side in (x, y))
    return _shared(a, b)


def mutual_of_sklearn(x: Matrix, y: Matrix, k: int) -> float:
    """Return the share of common neighbours that scikit-learn finds, which is how resi searches."""
    return _shared(*(_neighbors_of_sklearn(_centered(side), k) for side in (x, y)))


def cknna(x: Matrix, y: Matrix, k: int, search: Search) -> float:
    """Return CKNNA from masks of neighbours [n, n], as in platonic-rep."""
    kernels = [side @ side.T for side in (x, y)]
    masks = []
    for kernel in kernels:
        np.fill_diagonal(kernel, -np.inf)
        mask = np.zeros_like(kernel)
        np.put_along_axis(mask, search(kernel, k), 1.0, axis=1)
        np.fill_diagonal(kernel, 0)
        masks.append(mask)
    common = masks[0] * masks[1]
    own = [_hsic(mask * kernel, mask * kernel) for mask, kernel in zip(masks, kernels, strict=True)]
    return _hsic(common * kernels[0], common * kernels[1]) / float(np.sqrt(own[0] * own[1]))


def recall(scores: Matrix, k: int, search: Search) -> float:
    """Return the share of rows whose own column is among the k largest scores."""
    return float((search(scores, k) == np.arange(len(scores))[:, None]).any(axis=1).mean())


def recall_by_rank(scores: Matrix, k: int) -> float:
    """Return the share of rows with fewer than k scores above their own column's."""
    return float(((scores > np.diagonal(scores)[:, None]).sum(axis=1) < k).mean())


def procrustes(x: Matrix, y: Matrix, singular: Callable[[Matrix], Matrix]) -> float:
    """Return the sum of singular values of XᵀY over both norms, which is what netrep takes the angle of."""
    a, b = _centered(x), _centered(y)
    return float(singular(a.T @ b).sum() / (np.linalg.norm(a) * np.linalg.norm(b)))


def singular_of_numpy(matrix: Matrix) -> Matrix:
    """Return the singular values, by numpy."""
    result: Matrix = np.asarray(np.linalg.svd(matrix, compute_uv=False), dtype=np.float64)
    return result


def singular_of_torch(matrix: Matrix) -> Matrix:
    """Return the singular values, by torch."""
    import torch

    result: Matrix = torch.linalg.svdvals(torch.from_numpy(matrix)).numpy()
    return result


def rsa(x: Matrix, y: Matrix, distances: Callable[[Matrix], Matrix]) -> float:
    """Return the Spearman correlation of the upper triangles of all distances."""
    from scipy.stats import rankdata

    upper = np.triu_indices(len(x), 1)
    ranks = [rankdata(distances(side)[upper]) for side in (x, y)]
    return float(np.corrcoef(*ranks)[0, 1])


def coral(x: Matrix, y: Matrix) -> float:
    """Return the Deep CORAL loss from two covariances of numpy."""
    gap = np.cov(x, rowvar=False) - np.cov(y, rowvar=False)
    return float(np.linalg.norm(gap) ** 2 / (4 * len(gap) ** 2))


def coral_of_torch(x: Matrix, y: Matrix) -> float:
    """Return the Deep CORAL loss from two covariances of torch."""
    import torch

    gap = torch.cov(torch.from_numpy(x).T) - torch.cov(torch.from_numpy(y).T)
    return float(gap.square().sum() / (4 * len(gap) ** 2))


def _folds(rows: Indices, parts: int, seed: int, purpose: str) -> Iterator[tuple[Indices, Indices]]:
    part = assign(rows.astype(str), parts, seed, purpose)
    for number in range(parts):
        yield np.flatnonzero(part != number), np.flatnonzero(part == number)


def ridge(x: Matrix, y: Matrix, seed: int = 42) -> float:
    """Return R² of nested folds by scikit-learn's Ridge, with the same folds and penalties as `ridge_r2`."""
    from sklearn.linear_model import Ridge

    def errors(train: Indices, test: Indices, penalties: Matrix) -> Matrix:
        size = float(x[train].var(axis=0, ddof=1).sum())
        fits = [Ridge(alpha=penalty * size).fit(x[train], y[train]) for penalty in penalties]
        return np.asarray([np.square(y[test] - fit.predict(x[test])).sum() for fit in fits])

    penalties: Matrix = np.logspace(-4, 4, 9)
    error = total = 0.0
    for number, (train, test) in enumerate(_folds(np.arange(len(x)), 5, seed, "outer fold")):
        inner = _folds(train, 3, seed, f"inner fold {number}")
        sums = np.sum([errors(train[fit], train[check], penalties) for fit, check in inner], axis=0)
        error += float(errors(train, test, penalties[[np.argmin(sums)]])[0])
        total += float(np.square(y[test] - y[train].mean(axis=0)).sum())
    return 1 - error / total
