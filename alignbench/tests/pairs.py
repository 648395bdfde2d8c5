"""Pairs of embeddings whose truth is known, for tests of trained scores."""

from __future__ import annotations

import numpy as np

from alignbench.types import Embeddings, ModelInfo, Pair


def make_pair(
    n: int = 40,
    *,
    noise: float | None = 0.3,
    seed: int = 0,
    dims: tuple[int, int] = (8, 6),
    per_group: int = 1,
    types: int = 1,
) -> Pair:
    """Return a pair of n rows whose y is linear in x but for noise; noise None: unrelated to it."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, dims[0])) + 2
    y = rng.normal(size=(n, dims[1])) - 3
    if noise is not None:
        y = x @ rng.normal(size=dims) + noise * y
    ids = tuple(f"s{i}" for i in range(n))
    sides = [
        Embeddings(ModelInfo(name, side, "other", name, "custom"), v.astype(np.float32), ids)  # type: ignore[arg-type]
        for name, side, v in (("encoder", "vision", x), ("llm", "text", y))
    ]
    labels = tuple(f"type {i % types}" for i in range(n))
    return Pair(sides[0], sides[1], labels, tuple(f"g{i // per_group}" for i in range(n)), "toy@0")
