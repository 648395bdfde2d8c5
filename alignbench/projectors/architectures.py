"""The four projectors, each written for one training or, with stacked parameters, for many at a time.

Parameters may have one more leading axis, [runs, ...]; rows then have it, too, and a matrix product is that
of every training with its own parameters. `torch.func.vmap` would do the same for any module, but at these
sizes, its bookkeeping takes as long as the products and holds the lock that a second thread waits for.
"""

from __future__ import annotations

import math
from threading import Lock
from typing import TYPE_CHECKING

import torch
from torch import nn

from alignbench.errors import InputError
from alignbench.registry import unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

QUERIES = 2  # each costs a training of 300 epochs a quarter of a second; eight were no better
HEADS = 2


class Linear(nn.Module):
    """`torch.nn.Linear` with its weight stored as [dx, dy].

    This gives the gradient of stacked weights the same layout as the weights; transposed ones would be copied
    in every step, which takes a quarter of a small training's time.
    """

    def __init__(self, dx: int, dy: int) -> None:
        super().__init__()
        initial = nn.Linear(dx, dy)
        self.weight = nn.Parameter(initial.weight.detach().T.contiguous())
        self.bias = nn.Parameter(initial.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """Map x [..., n, dx] to dy dimensions."""
        return (x @ self.weight).add_(self.bias.unsqueeze(-2))


class LayerNorm(nn.LayerNorm):
    """`torch.nn.LayerNorm` over the last axis, whose parameters may be stacked."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x [..., n, d] with every row standardised, scaled and shifted."""
        rows = nn.functional.layer_norm(x, self.normalized_shape, eps=self.eps)
        return rows * self.weight.unsqueeze(-2) + self.bias.unsqueeze(-2)


class CrossAttention(nn.Module):
    r"""Learnable queries that read an image's patches, in the style of a Q-Former.

    Per head $\mathrm{softmax}(q_h K_h^\top / \sqrt{e}) V_h$, then LayerNorm-Linear-GELU-Linear for each
    query, and the mean over queries.

    Keys and values are never computed for the patches: $q K^\top p = (K q)^\top p$ folds the keys into the
    queries, and because a value is linear in its patch, patches are averaged first. That leaves two small
    products per patch.

    Args:
        dx: the width of a patch.
        dy: the width of the output.
        queries: the number of queries.
        heads: the largest number of heads, which has to divide dx.

    Source:
        Li et al. (2023), BLIP-2, ICML, section 3.1.
    """

    def __init__(self, dx: int, dy: int, queries: int = QUERIES, heads: int = HEADS) -> None:
        super().__init__()
        heads = math.gcd(dx, heads)
        width = dx // heads
        self.query = nn.Parameter(torch.randn(queries, heads, width))
        self.key = nn.Parameter(torch.randn(heads, width, dx) / math.sqrt(dx))
        self.value = nn.Parameter(torch.randn(heads, dx, width) / math.sqrt(dx))
        self.norm = LayerNorm(dx)
        self.hidden = Linear(dx, dx)
        self.out = Linear(dx, dy)

    def forward(self, patches: Tensor) -> Tensor:
        """Return one vector per image, [..., n, dy], for `patches` [..., n, p, dx]."""
        # A mean commutes with a linear layer, so it is taken before the last one.
        projected: Tensor = self.out(self._read(patches).mean(dim=-2))
        return projected

    def tokens(self, patches: Tensor) -> Tensor:
        """Return one vector per query, [n, queries, dy], for `patches` [n, p, dx] of one training."""
        projected: Tensor = self.out(self._read(patches))
        return projected

    def _read(self, patches: Tensor) -> Tensor:
        *runs, n, p, d = patches.shape
        queries, heads, width = self.query.shape[-3:]
        folded = (self.query.transpose(-3, -2) @ self.key).transpose(-3, -2).reshape(*runs, -1, d)
        logits = folded / math.sqrt(width) @ patches.reshape(*runs, n * p, d).transpose(-1, -2)
        attention = logits.reshape(*runs, -1, n, p).transpose(-3, -2).softmax(dim=-1)
        read = (attention @ patches).reshape(*runs, n * queries, heads, d)
        # One product per head: a single one for all heads would have to copy the result into another order.
        values = [own @ value for own, value in zip(read.unbind(-2), self.value.unbind(-3), strict=True)]
        tokens = nn.functional.gelu(self.hidden(self.norm(torch.cat(values, dim=-1))))
        return tokens.reshape(*runs, n, queries, d)


def _mlp(dx: int, dy: int) -> nn.Module:
    return nn.Sequential(Linear(dx, dy), nn.GELU(), Linear(dy, dy))


def _two_layer_mlp(dx: int, dy: int) -> nn.Module:
    return nn.Sequential(Linear(dx, dy), nn.GELU(), LayerNorm(dy), Linear(dy, dy))


_ONE_GENERATOR = Lock()  # modules draw from torch's generator, of which the process has only one

_BUILDERS: dict[str, Callable[[int, int], nn.Module]] = {
    "linear": Linear,
    "mlp": _mlp,
    "2layer_mlp": _two_layer_mlp,
    "cross_attention": CrossAttention,
}


def build(projector: str, dx: int, dy: int, seed: int) -> nn.Module:
    """Return a projector from dx to dy dimensions, initialised by `seed` alone.

    Args:
        projector: "linear"; "mlp" (Linear-GELU-Linear, as LLaVA 1.5); "2layer_mlp"
            (Linear-GELU-LayerNorm-Linear); "cross_attention" (over patches).
        dx: the width of a vector or patch.
        dy: the width of the output.
        seed: the seed of the initial weights; torch's own generator is left unchanged.

    Raises:
        InputError: there is no such projector.
    """
    if projector not in _BUILDERS:
        raise InputError(unknown("projector", projector, _BUILDERS))
    with _ONE_GENERATOR, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _BUILDERS[projector](dx, dy)
