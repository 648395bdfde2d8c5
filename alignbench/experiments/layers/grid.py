"""Every layer of an encoder against every layer of an LLM, and how much of the best cell is luck."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import DegenerateError, LayersMissingError
from alignbench.experiments.scoring import drawn_null
from alignbench.experiments.sharing import Sharing, why_not
from alignbench.metrics.layers import (
    KERNELS,
    PRH,
    PRH_K,
    cell_products,
    chance_level,
    clipped,
    layer_kernels,
)
from alignbench.rows import unit_rows
from alignbench.stats import LEVEL, draw_permutations, one_per_group, rng_for
from alignbench.types import Score

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from alignbench.datasets import Dataset
    from alignbench.experiments.scoring import Settings
    from alignbench.hidden import Layers
    from alignbench.types import ModelInfo
    from alignbench.weights.protocols import Described

    Matrix = NDArray[np.float64]

BEST, LAST = "best layers", "last layers"


@dataclass(frozen=True, slots=True)
class Grid:
    """One metric over all cells.

    Args:
        values: [encoder layers, LLM layers]; NaN if a layer has no variance.
        maxima: the highest cell of each re-pairing, which permutes all cells alike [draws].
        last: the cell of the last layers in each re-pairing [draws].
    """

    values: Matrix
    maxima: NDArray[np.float64]
    last: NDArray[np.float64]

    @property
    def best(self) -> tuple[int, int]:
        """The highest cell."""
        row, column = np.unravel_index(int(np.nanargmax(self.values)), self.values.shape)
        return int(row), int(column)


def layer_scores(
    encoder: Described,
    llm: Described,
    layers: Callable[..., Layers],
    data: Dataset,
    settings: Settings,
    protocol: str | None = None,
) -> tuple[list[Score], dict[str, NDArray[Any]] | None]:
    """Return for each metric the best cell and the cell of the last layers, and the grid for its figure.

    The best cell is compared with the best cells of re-paired data, since one of many cells is always high.
    Each re-pairing is the same for all cells.

    Args:
        encoder: the vision side.
        llm: the text side.
        layers: returns all hidden layers of a model.
        data: the samples.
        settings: the seed and the permutations.
        protocol: "prh" for the choices of the Platonic Representation Hypothesis, see `prh_side`; None for
            our own.
    """
    kernels = PRH if protocol else KERNELS
    side = prh_side if protocol else _side
    groups = np.asarray(data.groups)
    common = _common(encoder.info, llm.info, data, data.n_groups, settings)
    try:
        x, y = layers(encoder), layers(llm)
        rows = one_per_group(groups, settings.seed)
        start = max(0, 1 - x.first) if protocol else 0
        sides = side(x, rows, start), side(y, rows)
        grids = {name: layer_grid(*sides, name, settings.seed, settings.draws) for name in kernels}
    except (LayersMissingError, DegenerateError) as error:
        sharing = Sharing.of_samples(data.samples)
        reason = why_not(error, sharing) if isinstance(error, DegenerateError) else str(error)
        return [
            Score(metric=_named(name), value=None, status="not_applicable", reason=reason, **common)
            for name in kernels
        ], None
    pooling, first = prh_pooling(x) if protocol else x.pooling, x.first + start
    chosen = {"protocol": protocol, "k": PRH_K, "outliers": "95% quantile"} if protocol else {}
    common = {**common, "params": {**common["params"], "layer_pooling": pooling, **chosen}}
    widths = _widths(x)[start:], _widths(y)
    scores = [score for name, grid in grids.items() for score in _scores(name, grid, first, common, widths)]
    names = {"encoder": encoder.info.label, "llm": llm.info.label, "pooling": pooling}
    arrays: dict[str, NDArray[Any]] = {name: np.array(value) for name, value in names.items()}
    arrays["first"] = np.array(first)
    for name, grid in grids.items():
        arrays[name] = grid.values
        arrays[f"{name}_chance"] = np.array(chance_level(name, len(rows)))
        arrays[f"{name}_limit"] = np.array(np.quantile(grid.maxima, 1 - LEVEL))
    return scores, arrays


def layer_grid(x: NDArray[Any], y: NDArray[Any], name: str, seed: int, draws: int) -> Grid:
    """Return one metric of every layer with every layer, and its values for re-paired data.

    Args:
        x: the encoder's layers [n, lx, dx].
        y: the LLM's layers [n, ly, dy].
        name: the name of the metric, one of `KERNELS` or `PRH`.
        seed: the seed of the permutations.
        draws: the number of permutations.

    Raises:
        DegenerateError: there are too few rows, or no layer has variance.
    """
    a, b = layer_kernels(x, name), layer_kernels(y, name)
    values = cell_products(a, b)
    if not np.isfinite(values).any():
        raise DegenerateError("layers: no layer of one side has any variance")
    drawn = np.stack(
        [
            cell_products(a, b[:, p][:, :, p])
            for p in draw_permutations(len(x), draws, rng_for(seed, "layers", name))
        ]
    )
    return Grid(values, np.nanmax(drawn, axis=(1, 2)), drawn[:, -1, -1])


def _widths(of: Layers) -> list[int]:
    return [of.at(layer, of.pooling).shape[1] for layer in range(of.values.shape[1])]


def _side(of: Layers, rows: NDArray[np.intp], start: int = 0) -> NDArray[Any]:
    values = of.by(of.pooling)[:, start:].astype(np.float64)
    return (unit_rows(values) if of.model.params.get("l2", True) else values)[rows]


def prh_side(of: Layers, rows: NDArray[np.intp], start: int = 0) -> NDArray[Any]:
    """Return the layers of some rows as the code of Huh et al. (2024) takes them, not yet normalised.

    They are CLS where the model has one, else means over patches or tokens. Outliers of all layers together
    are clipped, or of each layer if their widths differ.

    Args:
        of: all layers of a model.
        rows: the rows [n].
        start: the first layer that is taken; their encoders have no input embeddings, their LLMs have them.

    Returns:
        [n, l, d].
    """
    values = of.by(prh_pooling(of))[rows, start:].astype(np.float64)
    if len(set(_widths(of))) == 1:
        return clipped(values)
    return np.stack([_clipped_alone(values[:, layer]) for layer in range(values.shape[1])], axis=1)


def _clipped_alone(layer: Matrix) -> Matrix:
    """Return one layer without outliers; zeros that fill it up to the width of others don't count."""
    used = np.flatnonzero(layer.any(axis=0))
    width = int(used[-1]) + 1 if len(used) else layer.shape[1]
    return np.hstack([clipped(layer[:, None, :width])[:, 0], layer[:, width:]])


def prh_pooling(of: Layers) -> str:
    """Return the pooling that the code of Huh et al. (2024) takes: CLS, or means without it."""
    return "cls" if "cls" in of.poolings else of.pooling


def _named(metric: str) -> str:
    """Return the name of the score of a metric; that of a protocol has its own."""
    return metric if metric in PRH else f"layers_{metric}"


def _scores(
    name: str, grid: Grid, first: int, common: dict[str, Any], widths: tuple[list[int], list[int]]
) -> list[Score]:
    """Return the scores of the best cell and of the last layers; each has a null of its own kind of cell."""
    row, column = grid.best
    cells = [
        (BEST, row, column, grid.maxima, "highest of all layers, permutation of groups"),
        (LAST, len(grid.values) - 1, grid.values.shape[1] - 1, grid.last, "permutation of groups"),
    ]
    scores = []
    for variant, i, j, drawn, kind in cells:
        value = float(grid.values[i, j])
        if not np.isfinite(value):
            continue
        at = {"encoder_layer": first + i, "llm_layer": j, "layers": list(grid.values.shape)}
        scores.append(
            Score(
                metric=_named(name),
                variant=variant,
                value=value,
                null=drawn_null(kind, value, drawn),
                **{**common, "dims": (widths[0][i], widths[1][j]), "params": {**common["params"], **at}},
            )
        )
    return scores


def _common(encoder: ModelInfo, llm: ModelInfo, data: Dataset, n: int, settings: Settings) -> dict[str, Any]:
    sides = (encoder, llm)
    return {
        "experiment": "layers",
        "encoder": encoder.label,
        "llm": llm.label,
        "dataset": data.label,
        "n": n,
        "dims": (),
        "seed": settings.seed,
        "weights": {side.label: side.weights for side in sides},
        "params": {"mode": "cross-modal", "preprocessing": {side.label: dict(side.params) for side in sides}},
    }
