"""The losses of projectors, for many trainings at once, with explicit gradients.

An explicit gradient takes the place of the prediction in memory; autograd keeps a dozen arrays of that size,
and a small training would spend its time on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

# SigLIP's initial temperature and bias: nearly all pairs are negatives, and start as such.
SCALE, BIAS = 2.302585, -10.0  # log 10


class Loss(Protocol):
    """The loss of some rows of every training, prepared once from everything that stays the same.

    Args:
        target: standardised texts [runs, m, d].
        weight: the weight of each row [runs, m]: 1, or 0 for padding.
        pairs: [runs, m, m]: 1 on the diagonal, -1 for rows of other groups, 0 elsewhere.
    """

    def __init__(self, target: Tensor, weight: Tensor, pairs: Tensor) -> None: ...

    def __call__(self, prediction: Tensor, scale: Tensor, slope: Tensor | None = None) -> Tensor:
        """Return each training's loss [runs], and overwrite the prediction.

        Args:
            prediction: [runs, m, d]; it is overwritten, with its gradient if `slope` is given.
            scale: log t and b of each training, [runs, 2].
            slope: receives the gradient of `scale`; None if no gradient is needed.
        """
        ...


class MeanSquared:
    r"""The mean squared error per element, $\frac{1}{nd}\sum_i w_i \|f_i - y_i\|^2$."""

    def __init__(self, target: Tensor, weight: Tensor, pairs: Tensor) -> None:
        self.target = target
        self.share = weight / (weight.sum(dim=1, keepdim=True) * target.shape[2])

    def __call__(self, prediction: Tensor, scale: Tensor, slope: Tensor | None = None) -> Tensor:
        """Return the losses; see `Loss`."""
        rest = prediction.sub_(self.target)
        loss: Tensor = (self.share * torch.linalg.vector_norm(rest, dim=2).square()).sum(dim=1)
        if slope is not None:
            rest.mul_(2 * self.share[..., None])
        return loss


class Cosine:
    r"""One minus the mean cosine, $1 - \frac{1}{n}\sum_i w_i \cos(f_i, y_i)$."""

    def __init__(self, target: Tensor, weight: Tensor, pairs: Tensor) -> None:
        self.target = functional.normalize(target, dim=2, eps=1e-8)
        self.share = weight / weight.sum(dim=1, keepdim=True)

    def __call__(self, prediction: Tensor, scale: Tensor, slope: Tensor | None = None) -> Tensor:
        """Return the losses; see `Loss`."""
        norm = torch.linalg.vector_norm(prediction, dim=2).clamp_(min=1e-8)
        unit = prediction.div_(norm[..., None])
        cosines = (unit * self.target).sum(dim=2)
        if slope is not None:  # (cos f - y) / |f|, for unit vectors f and y
            unit.mul_(cosines[..., None]).sub_(self.target).mul_((self.share / norm)[..., None])
        loss: Tensor = 1 - (self.share * cosines).sum(dim=1)
        return loss


class Contrastive:
    r"""The pairwise sigmoid loss.

    $-\frac{1}{n}\sum_{ij} w_i w_j \log\sigma(z_{ij}(t\cos(f_i, y_j) + b))$, where $z_{ij}$ is 1 for a pair
    and -1 for rows of different groups; other rows of the same group are left out. t and b are learnt.

    Source:
        Zhai et al. (2023), SigLIP, ICCV; as an alignment probe Zhang et al. (2025), SAIL, CVPR.
    """

    def __init__(self, target: Tensor, weight: Tensor, pairs: Tensor) -> None:
        self.target = functional.normalize(target, dim=2)
        self.pairs = pairs
        count = weight.sum(dim=1)[:, None, None]
        self.share = pairs.abs() * weight[:, :, None] * weight[:, None, :] / count

    def __call__(self, prediction: Tensor, scale: Tensor, slope: Tensor | None = None) -> Tensor:
        """Return the losses; see `Loss`."""
        norm = torch.linalg.vector_norm(prediction, dim=2).clamp_(min=1e-12)
        unit = prediction.div_(norm[..., None])
        cosines = unit @ self.target.transpose(1, 2)
        t, b = scale[:, 0].exp()[:, None, None], scale[:, 1][:, None, None]
        wrong = -self.pairs * (t * cosines + b)
        # softplus(-z) is -log sigmoid(z)
        loss = (functional.softplus(wrong) * self.share).sum(dim=(1, 2))
        if slope is not None:
            logits = wrong.sigmoid_().mul_(self.pairs).mul_(self.share).neg_()  # their gradient
            slope[:, 1] = logits.sum(dim=(1, 2))
            logits.mul_(t)
            along = (logits * cosines).sum(dim=2)  # the part of the gradient that only makes f longer
            slope[:, 0] = along.sum(dim=1)
            unit.mul_(-along[..., None]).baddbmm_(logits, self.target).div_(norm[..., None])
        return loss


LOSS_FUNCTIONS: dict[str, type[Loss]] = {"contrastive": Contrastive, "cosine": Cosine, "mse": MeanSquared}
