"""Embeddings by the dozen for tests of layouts and overlays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from alignbench.types import Embeddings, ModelInfo, Pair

if TYPE_CHECKING:
    from collections.abc import Sequence

TYPES = ("chart", "document", "table")


def make_embeddings(values: object, name: str = "toy", side: str = "vision") -> Embeddings:
    array = np.asarray(values, dtype=np.float32)
    model = ModelInfo(name, side, "other", f"toys/{name}", "custom")  # type: ignore[arg-type]
    return Embeddings(model, array, tuple(f"{i:05}" for i in range(len(array))))


def make_side(
    n: int,
    width: int = 12,
    *,
    clustered: bool = False,
    constant: bool = False,
    groups: Sequence[str] | None = None,
) -> Pair:
    rng = np.random.default_rng(n + width)
    values = np.ones((n, width)) if constant else rng.normal(size=(n, width))
    if clustered:
        values[:, :3] += 4 * (np.arange(n)[:, None] % 3 == np.arange(3))
    x = make_embeddings(values)
    return Pair(x, x, labels_for(n), tuple(groups or (f"{i:05}" for i in range(n))), "toys@1")


def make_related(n: int, noise: float = 0.3, *, shuffled: bool = False) -> Pair:
    """Return images and texts of one latent cause, each turned its own way; or texts of other images."""
    rng = np.random.default_rng(n)
    cause = rng.normal(size=(n, 3)) * (3, 2, 1)
    sides = [
        cause @ np.linalg.qr(rng.normal(size=(width, 3)))[0].T + noise * rng.normal(size=(n, width))
        for width in (10, 14)
    ]
    if shuffled:
        sides[1] = sides[1][rng.permutation(n)]
    x, y = make_embeddings(sides[0]), make_embeddings(sides[1], "toy-llm", "text")
    return Pair(x, y, labels_for(n), tuple(f"{i:05}" for i in range(n)), "toys@1")


def with_y(pair: Pair, values: object) -> Pair:
    return replace(pair, y=make_embeddings(values, "toy-llm", "text"))


def labels_for(n: int) -> tuple[str, ...]:
    return tuple(TYPES[i % 3] for i in range(n))
