"""Modality integration: how far image tokens lie from text tokens in the layers of an LLM."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from alignbench.errors import DegenerateError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

MOST_PAIRS = 100  # held-out images with their captions, as many as the paper takes
_OUTLIER = 3.0  # standard deviations of the tokens' lengths


def modality_integration_rate(layers: Iterable[tuple[Tensor, Tensor]]) -> float:
    r"""Return $\log_{10} \sum_k \mathrm{FD}(\alpha_k V_k, \alpha_k T_k)$ over the layers k; lower is closer.

    $\alpha_k$ is 1 over the mean length of the text tokens of the layer. In each of $\alpha_k V_k$ and
    $\alpha_k T_k$, a token whose length differs from the median length by more than three standard
    deviations is replaced by the median of every entry, as in the authors' code. FD is `frechet_distance`.
    With few tokens for the width, covariances are of low rank and the value depends on the number of tokens.

    Args:
        layers: image tokens [v, d] and text tokens [t, d] of each layer.

    Raises:
        DegenerateError: a side has fewer than two tokens, or states are not finite, or all the same.

    Source:
        Huang et al. (2024), arXiv 2410.07167.
    """
    total = 0.0
    for image, text in layers:
        if min(len(image), len(text)) < 2:
            raise DegenerateError(
                f"expected at least 2 tokens of each side, got {len(image)} and {len(text)}"
            )
        scale = 1 / text.double().norm(dim=1).mean()
        image, text = image.double() * scale, text.double() * scale
        if not (image.isfinite().all() and text.isfinite().all()):
            raise DegenerateError("the LLM's states of these tokens are not finite, or 0 for all text")
        total += frechet_distance(_without_outliers(image), _without_outliers(text))
    if total <= 0:
        raise DegenerateError("the LLM's states of image tokens and of text tokens are the same")
    return math.log10(total)


def frechet_distance(x: Tensor, y: Tensor) -> float:
    r"""Return $\|\mu_x - \mu_y\|^2 + \mathrm{tr}(C_x + C_y - 2 (C_x C_y)^{1/2})$, at least 0.

    The last trace is $\|X^\top Y'\|_*$, the sum of the singular values of the product of factors of the
    covariances. No root of a matrix is computed, so covariances of low rank do no harm.

    Args:
        x: [n, d], n ≥ 2.
        y: [m, d], m ≥ 2.

    Source:
        Dowson and Landau (1982), Journal of Multivariate Analysis 12.
    """
    means, factors, variance = [], [], 0.0
    for side in (x.double(), y.double()):
        means.append(side.mean(dim=0))
        factor = (side - means[-1]) / math.sqrt(len(side) - 1)
        variance += float(factor.square().sum())
        factors.append(torch.linalg.qr(factor, mode="r").R if len(side) > side.shape[1] else factor)
    common = float(torch.linalg.svdvals(factors[0] @ factors[1].T).sum())
    return max(0.0, float((means[0] - means[1]).square().sum()) + variance - 2 * common)


def _without_outliers(tokens: Tensor) -> Tensor:
    lengths = tokens.norm(dim=1)
    outlying = (lengths - lengths.median()).abs() > _OUTLIER * lengths.std()
    return torch.where(outlying[:, None], tokens.median(dim=0).values, tokens)
