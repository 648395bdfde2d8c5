"""Which forms of each score compete: ours, those of other code, and the products that none can do without."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench import metrics
from alignbench.workshop.measure import _peers_packages as packages
from alignbench.workshop.measure import _peers_textbook as textbook

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

K = 10
SHARED = 32  # directions that both sides have in common


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the contenders get, in float64.

    Args:
        x: [n, dx].
        y: [n, dy].
        scores: [n, n], the similarity of queries and candidates for retrieval.
    """

    x: Matrix
    y: Matrix
    scores: Matrix

    @classmethod
    def drawn(cls, n: int, dx: int, dy: int) -> Inputs:
        """Return sides that share some directions, and cosines of which the right ones are often high."""
        rng = np.random.default_rng(0)
        common = rng.normal(size=(n, SHARED))
        x, y = (common @ rng.normal(size=(SHARED, d)) + rng.normal(size=(n, d)) for d in (dx, dy))
        near = common + 2 * rng.normal(size=common.shape)
        return cls(x, y, metrics.cosine_similarity(common, near))

    @property
    def narrow(self) -> tuple[Matrix, Matrix]:
        """Both sides cut to the smaller width, for scores that need a shared basis."""
        width = min(self.x.shape[1], self.y.shape[1])
        return np.ascontiguousarray(self.x[:, :width]), np.ascontiguousarray(self.y[:, :width])


@dataclass(frozen=True, slots=True)
class Contest:
    """One score, and who computes it.

    Args:
        arguments: what of the inputs the score takes.
        ours: the score by alignbench.
        peers: the name of each peer and its form.
        bare: the products or decompositions that every exact form needs, or None.
    """

    arguments: Callable[[Inputs], tuple[Matrix, ...]]
    ours: Callable[..., float]
    peers: Mapping[str, Callable[..., float]]
    bare: Callable[..., object] | None = None


def linear_products(x: Matrix, y: Matrix) -> object:
    """Compute the products of linear CKA in the form with fewer operations."""
    if len(x) < x.shape[1] + y.shape[1]:
        return x @ x.T, y @ y.T
    return x.T @ x, y.T @ y, x.T @ y


def row_products(x: Matrix, y: Matrix) -> object:
    """Compute all products of rows of each side."""
    return x @ x.T, y @ y.T


def column_products(x: Matrix, y: Matrix) -> object:
    """Compute all products of columns of each side."""
    return x.T @ x, y.T @ y


def singular_values(x: Matrix, y: Matrix) -> object:
    """Compute the singular values of XᵀY, from as few rows as there are."""
    return np.linalg.svd(x.T @ y, compute_uv=False)


def contests(missing: Collection[str] = ()) -> dict[str, Contest]:
    """Return the contests of all scores.

    Args:
        missing: the packages that are not installed.
    """
    partition, topk = textbook.nearest_by_partition, textbook.nearest_by_torch
    products, pairs = textbook.squared_by_products, textbook.squared_by_pairs

    def sides(inputs: Inputs) -> tuple[Matrix, ...]:
        return inputs.x, inputs.y

    def searched(form: Callable[..., float], **fixed: Any) -> dict[str, Callable[..., float]]:
        return {
            "argpartition": partial(form, **fixed, search=partition),
            "torch.topk": partial(form, **fixed, search=topk),
        }

    recall = searched(textbook.recall, k=K) | {"rank": partial(textbook.recall_by_rank, k=K)}
    if "torchmetrics" not in missing:
        recall["torchmetrics"] = packages.recall_of_torchmetrics(K)
    if "CLIP_benchmark" not in missing:
        recall["CLIP_benchmark"] = packages.recall_of_clip_benchmark(K)
    return {
        "linear_cka": Contest(
            sides,
            metrics.linear_cka,
            {"features": textbook.cka_of_features, "Gram": textbook.cka_of_grams},
            linear_products,
        ),
        "debiased_cka": Contest(
            sides,
            metrics.debiased_cka,
            {"features": textbook.debiased_of_features, "Gram": textbook.debiased_of_grams},
            linear_products,
        ),
        "rbf_cka": Contest(
            sides,
            metrics.rbf_cka,
            {"products": partial(textbook.rbf, distances=products)},
            row_products,
        ),
        "mutual_knn": Contest(
            sides,
            partial(metrics.mutual_knn, k=K),
            searched(textbook.mutual, k=K) | {"scikit-learn": partial(textbook.mutual_of_sklearn, k=K)},
            row_products,
        ),
        "cknna": Contest(sides, partial(metrics.cknna, k=K), searched(textbook.cknna, k=K), row_products),
        "recall@10": Contest(lambda inputs: (inputs.scores,), _recall, recall),
        "procrustes_similarity": Contest(
            sides,
            metrics.procrustes_similarity,
            {
                "numpy": partial(textbook.procrustes, singular=textbook.singular_of_numpy),
                "torch": partial(textbook.procrustes, singular=textbook.singular_of_torch),
            },
            singular_values,
        ),
        "rsa": Contest(
            sides,
            metrics.rsa,
            {
                "products": partial(textbook.rsa, distances=products),
                "pdist": partial(textbook.rsa, distances=pairs),
            },
            row_products,
        ),
        "coral_distance": Contest(
            lambda inputs: inputs.narrow,
            metrics.coral_distance,
            {"numpy.cov": textbook.coral, "torch.cov": textbook.coral_of_torch},
            column_products,
        ),
        "ridge_r2": Contest(sides, metrics.ridge_r2, {"scikit-learn": textbook.ridge}),
    }


def _recall(scores: Matrix) -> float:
    return metrics.retrieval(scores, cuts=(K,)).recall[K]
