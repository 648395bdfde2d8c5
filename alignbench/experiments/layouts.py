"""Projections to two dimensions by t-SNE, UMAP and PCA, which give the same points every time."""

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
    """Where a method puts the samples: `points` [n, 2], and the settings that it used."""

    points: Matrix
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reach:
    """How many neighbours of a sample a method considers; None stands for the usual number.

    Args:
        perplexity: the perplexity of t-SNE, roughly its number of neighbours; usually 30, but at most a third
            of the other samples.
        neighbors: the number of neighbours of UMAP; usually 15, but at most all other samples.

    Raises:
        InputError: the perplexity is below 1 or not finite, or there are fewer than 2 neighbours.
    """

    perplexity: float | None = None
    neighbors: int | None = None

    def __post_init__(self) -> None:
        if self.perplexity is not None and not LEAST_PERPLEXITY <= self.perplexity < math.inf:
            raise InputError(f"perplexity: expected a number from 1 on, got {self.perplexity!r}")
        if self.neighbors is not None and self.neighbors < LEAST_NEIGHBORS:
            raise InputError(f"neighbors: expected at least 2, got {self.neighbors!r}")

    def check(self, method: str, n: int) -> None:
        """Raise TooFewSamplesError if the number asked for needs more than n rows."""
        asked = {"tsne": self.perplexity, "umap": self.neighbors}.get(method)
        if asked is not None and asked >= n:
            name = "perplexity" if method == "tsne" else "neighbors"
            raise TooFewSamplesError(
                f"{name}: {asked:g} neighbours need more samples than that, got {n}; give a smaller "
                "number or more samples"
            )


USUAL = Reach()


def layout(x: ArrayLike, method: str, seed: int = 42, reach: Reach = USUAL) -> Layout:
    """Return a two-dimensional layout of the rows of `x`.

    It depends only on the rows, the seed and the reach, since it is computed in one thread.

    Args:
        x: embeddings [n, d], n ≥ 10.
        method: "tsne", "umap" or "pca".
        seed: the seed of the random numbers of t-SNE and UMAP.
        reach: the perplexity of t-SNE and the neighbours of UMAP.

    Raises:
        InputError: the method is unknown, or `x` is not a finite matrix.
        TooFewSamplesError: there are fewer than 10 rows, or too few for the neighbours that were asked for.
        DegenerateError: the rows have no variance, or the method fails on them.
    """
    if method not in _METHODS:
        raise InputError(f"method: expected one of {', '.join(_METHODS)}, got {method!r}")
    values = as_matrix(x)
    check_min_n(len(values), MIN_N)
    reach.check(method, len(values))
    standardized(values)  # raises where all rows are equal
    result = _METHODS[method](values, seed, reach)
    if result.points.shape != (len(values), 2) or not np.isfinite(result.points).all():
        raise DegenerateError(f"{method}: it gives no finite layout of these {len(values)} rows")
    return result


def _pca(x: Matrix, seed: int, reach: Reach = USUAL) -> Layout:
    """Return the two leading principal components, each with its largest loading positive."""
    basis = Principal.fit(x, 2)
    largest = np.take_along_axis(basis.axes, np.abs(basis.axes).argmax(axis=0)[None], axis=0)[0]
    points = basis.transform(x) * np.where(largest < 0, -1.0, 1.0)
    share = points.var(axis=0) / x.var(axis=0).sum()
    return Layout(points, {"explained_variance": [float(part) for part in share]})


def _tsne(x: Matrix, seed: int, reach: Reach) -> Layout:
    # sklearn's own PCA start is random, and it has none for a single column.
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
    """Return the class UMAP, with its numba functions compiled once per machine, not once per process."""
    import umap
    from numba.core.registry import CPUDispatcher

    for module in (umap.umap_, umap.layouts, umap.utils):
        for function in vars(module).values():
            if isinstance(function, CPUDispatcher):
                # numba writes beside umap's files or into the user's cache folder, if it can
                with suppress(RuntimeError, OSError):
                    function.enable_caching()
    return umap.UMAP


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide warnings of the libraries, such as that a seed overrides threads or that tensorflow is missing.

    What matters is in the scores: the perplexity or number of neighbours used, and trustworthiness.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _one_thread() -> Iterator[None]:
    # Sums of several threads differ from run to run, and on a few hundred rows a pool of threads costs ten
    # times what it gains. Only libraries that have been imported before are limited.
    from threadpoolctl import get_cached_controller

    with get_cached_controller().limit(limits=1):
        yield
