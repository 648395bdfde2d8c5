"""What a projector is trained for: each a function of one training's rows, weighted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Loss = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]

# SigLIP's initial temperature and bias: nearly all pairs are negatives, and start out as such.
SCALE, BIAS = 2.302585, -10.0  # log 10


def mse(prediction: Tensor, target: Tensor, weight: Tensor, pairs: Tensor, scale: Tensor) -> Tensor:
    r"""Return the mean squared error an element, $\frac{1}{nd}\sum_i w_i \|f_i - y_i\|^2$."""
    return (weight * (prediction - target).square().mean(dim=1)).sum() / weight.sum()


def cosine(prediction: Tensor, target: Tensor, weight: Tensor, pairs: Tensor, scale: Tensor) -> Tensor:
    r"""Return $1 - \frac{1}{n}\sum_i w_i \cos(f_i, y_i)$."""
    return 1 - (weight * functional.cosine_similarity(prediction, target)).sum() / weight.sum()


def contrastive(prediction: Tensor, target: Tensor, weight: Tensor, pairs: Tensor, scale: Tensor) -> Tensor:
    r"""Return the pairwise sigmoid loss.

    $-\frac{1}{n}\sum_{ij} w_i w_j \log\sigma(z_{ij}(t\cos(f_i, y_j) + b))$, where $z_{ij}$ is 1 for a pair
    and -1 for any two others; other rows of the same group are neither, and left out.

    Args:
        prediction: projected images [m, d].
        target: texts [m, d].
        weight: of each row [m]: 1, or 0 for padding.
        pairs: [m, m], 1 on the diagonal, -1 for rows of other groups, 0 elsewhere.
        scale: log t and b, learnt, [2].

    Source:
        Zhai et al. (2023), SigLIP, ICCV; as an alignment probe Zhang et al. (2025), SAIL, CVPR.
    """
    unit, other = functional.normalize(prediction), functional.normalize(target)
    logits = scale[0].exp() * (unit @ other.T) + scale[1]
    # softplus(-z) is -log sigmoid(z)
    terms = functional.softplus(-pairs * logits) * pairs.abs() * (weight[:, None] * weight[None, :])
    return terms.sum() / weight.sum()


LOSS_FUNCTIONS: dict[str, Loss] = {"contrastive": contrastive, "cosine": cosine, "mse": mse}
