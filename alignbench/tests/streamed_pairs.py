"""Pairs of three types whose scores come from moments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.columns import codes_of
from alignbench.metrics.cell_passes import cross_cells, side_cells
from alignbench.metrics.cells import cells_of
from alignbench.metrics.samples import PairCells
from alignbench.types import Embeddings, ModelInfo, Pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

N, DX, DY = 3000, 12, 9
CLASSES = ("chart", "table", "document")


def data(n: int = N, offset: float = 5.0) -> tuple[Matrix, Matrix, NDArray[np.str_]]:
    rng = np.random.default_rng(0)
    labels = np.asarray(CLASSES)[rng.integers(3, size=n)]
    x = rng.normal(size=(n, DX)) * np.linspace(1, 3, DX) + codes_of(labels)[:, None] + offset
    y = x @ rng.normal(size=(DX, DY)) + 3 * rng.normal(size=(n, DY)) - offset
    return x, y, labels


def cells(x: Matrix, y: Matrix | None, labels: NDArray[np.str_], seed: int = 42) -> PairCells:
    of = cells_of(np.arange(len(x)).astype(str), seed)
    classes = sorted(set(labels.tolist()))
    sides = [side_cells(side, of, codes_of(labels), len(classes)) for side in (x, y) if side is not None]
    if y is None:
        return PairCells(sides[0], classes=classes)
    return PairCells(sides[0], sides[1], cross_cells(x, y, sides[0], sides[1], of), classes)


def pair_of(n: int, groups: tuple[str, ...] | None = None) -> Pair:
    x, y, labels = data(n)
    ids = tuple(f"s{i}" for i in range(n))
    vision = Embeddings(ModelInfo("eye", "vision", "other", "eye", "random"), x.astype(np.float32), ids)
    text = Embeddings(ModelInfo("mind", "text", "other", "mind", "random"), y.astype(np.float32), ids)
    return Pair(vision, text, tuple(labels.tolist()), groups or ids, "made")
