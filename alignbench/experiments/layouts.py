"""Projections to two dimensions: t-SNE, UMAP, PCA; the same points every time, in silence."""

from __future__ import annotations

import math
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import DegenerateError, InputError, TooFewSamplesError
from alignbench.metrics.basis import Principal
from alignbench.metrics.checks import as_matrix, check_min_n, standardized
from alignbench.stats import seed_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import ArrayLike, NDArray

    Matrix = NDArray[np.float64]

MIN_N = 10
PERPLEXITY = 30.0
UMAP_NEIGHBORS = 15
LEAST_PERPLEXITY, LEAST_NEIGHBORS = 1.0, 2


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a method puts the samples: `points` [n, 2], and the settings that it took."""

    points: Matrix
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reach:
    """How many neighbours of a sample a method looks at; None takes the usual number, or what n allows.

    Args:
        perplexity: of t-SNE, about how many: 30, but at most a third of the others.
        neighbors: of UMAP: 15, but at most all others.

    Raises:
        InputError: a perplexity below 1, fewer than 2 neighbours, or no number.
    """

    perplexity: float | None = None
    neighbors: int | None = None

    def __post_init__(self) -> None:
        if self.perplexity is not None and not LEAST_PERPLEXITY <= self.perplexity < math.inf:
            raise InputError(f"perplexity: expected a number from 1 on, got {self.perplexity!r}")
        if self.neighbors is not None and self.neighbors < LEAST_NEIGHBORS:
            raise InputError(f"neighbors: expected at least 2, got {self.neighbors!r}")

    def check(self, method: str, n: int) -> None:
        """Raise TooFewSamplesError where what was asked of a method takes more than n rows."""
        name, asked = {"tsne": ("perplexity", self.perplexity), "umap": ("neighbors", self.neighbors)}.get(
            method, ("", None)
        )
        if asked is not None and asked >= n:
            raise TooFewSamplesError(
                f"{name}: {asked:g} neighbours need more samples than that, got {n}; give a smaller "
                "number or more samples"
            )


USUAL = Reach()


def layout(x: ArrayLike, method: str, seed: int = 42, reach: Reach = USUAL) -> Layout:
    """Return a two-dimensional layout of the rows of `x`.

    It depends on rows, seed and reach alone: one thread, whatever else the machine does.

    Args:
        x: embeddings [n, d], n ≥ 10.
        method: "tsne", "umap" or "pca".
        seed: of what t-SNE and UMAP draw.
        reach: t-SNE's perplexity and UMAP's neighbours.

    Raises:
        InputError: an unknown method, or not a finite matrix.
        TooFewSamplesError: fewer than 10 rows, or not more than the neighbours that were asked for.
        DegenerateError: zero variance, or a method that fails on these rows.
    """
    if method not in _METHODS:
        raise InputError(f"method: expected one of {', '.join(_METHODS)}, got {method!r}")
    values = as_matrix(x)
    check_min_n(len(values), MIN_N)
    reach.check(method, len(values))
    standardized(values)  # raises where all rows are equal
    found = _METHODS[method](values, seed, reach)
    if found.points.shape != (len(values), 2) or not np.isfinite(found.points).all():
        raise DegenerateError(f"{method}: it gives no finite layout of these {len(values)} rows")
    return found


def _pca(x: Matrix, seed: int, reach: Reach = USUAL) -> Layout:
    """Return the two leading principal components, each with its largest loading positive."""
    basis = Principal.fit(x, 2)
    largest = np.take_along_axis(basis.axes, np.abs(basis.axes).argmax(axis=0)[None], axis=0)[0]
    points = basis.transform(x) * np.where(largest < 0, -1.0, 1.0)
    share = points.var(axis=0) / x.var(axis=0).sum()
    return Layout(points, {"explained_variance": [float(part) for part in share]})


def _tsne(x: Matrix, seed: int, reach: Reach) -> Layout:
    # The start is ours: sklearn's own draws its PCA, and has none for a single column.
    start = _pca(x, seed).points
    usual = min(PERPLEXITY, (len(x) - 1) / 3)
    perplexity = usual if reach.perplexity is None else reach.perplexity
    with _quiet():
        from sklearn.manifold import TSNE

        with _one_thread():
            model = TSNE(
                2,
                perplexity=perplexity,
                init=(1e-4 * start / start[:, 0].std()).astype(np.float32),
                random_state=seed_for(seed, "t-SNE"),
                n_jobs=1,
            )
            points = model.fit_transform(x)
    return Layout(np.asarray(points, dtype=np.float64), {"perplexity": float(perplexity)})


def _umap(x: Matrix, seed: int, reach: Reach) -> Layout:
    neighbors = min(UMAP_NEIGHBORS, len(x) - 1) if reach.neighbors is None else reach.neighbors
    with _quiet():
        umap_class = _compiled_umap()
        with _one_thread():
            model = umap_class(n_neighbors=neighbors, random_state=seed_for(seed, "UMAP"), n_jobs=1)
            try:
                points = model.fit_transform(x)
            except (ValueError, TypeError, np.linalg.LinAlgError) as error:
                raise DegenerateError(f"umap: it can't lay out these {len(x)} rows ({error})") from error
    return Layout(
        np.asarray(points, dtype=np.float64), {"n_neighbors": neighbors, "min_dist": model.min_dist}
    )


_METHODS: Mapping[str, Callable[[Matrix, int, Reach], Layout]] = {"tsne": _tsne, "umap": _umap, "pca": _pca}


def _compiled_umap() -> Any:
    """Return the class UMAP, its numba functions set to be compiled once a machine and not once a process."""
    import umap
    from numba.core.registry import CPUDispatcher

    for module in (umap.umap_, umap.layouts, umap.utils):
        for function in vars(module).values():
            if isinstance(function, CPUDispatcher):
                # numba writes beside umap's files or into the user's cache folder, if it may
                with suppress(RuntimeError, OSError):
                    function.enable_caching()
    return umap.UMAP


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the libraries warn of (threads that a seed overrides, a missing tensorflow) to ourselves.

    What matters of it is in the scores: the perplexity or the neighbours that n allows, and trustworthiness.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _one_thread() -> Iterator[None]:
    # Sums of several threads differ from run to run; and on some hundred rows a pool costs ten times what it
    # gives, beside another worker far more. Libraries must have been imported before: only they are limited.
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
