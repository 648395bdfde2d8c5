"""Fills a table with our own scores: each encoder whose weights can be had is scored with the run's LLM."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import AlignbenchError, DataError, ModelError
from alignbench.experiments.validity.study_cells import PREDICTORS, CellSettings, metric_values
from alignbench.experiments.validity.table import FEWEST, complete_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alignbench.experiments.validity.table import Table
    from alignbench.types import Pair

_LONGEST = 28  # an alias has at most 40 characters
NO_SPEC = "no weights of it are known to be public"


@dataclass(frozen=True, slots=True)
class Filled:
    """A table with our scores.

    Args:
        blocks: block -> the encoders that were scored; without blocks that have fewer than three of them.
        left_out: encoder -> why it could not be scored.
        pairs: encoder -> its embeddings with the LLM.
    """

    blocks: Mapping[str, Table]
    left_out: Mapping[str, str]
    pairs: Mapping[str, Pair]


def fill(blocks: Mapping[str, Table], pair_of: Callable[[str], Pair], seed: int, where: str) -> Filled:
    """Return the blocks with our metrics as further scores of those encoders whose weights can be had.

    Args:
        blocks: block -> its encoders, with the specs of their weights.
        pair_of: returns the embeddings of the encoder of a spec with the LLM.
        seed: the seed of the metrics' splits.
        where: the table, for errors.

    Raises:
        DataError: the table names no weights, or different ones for one encoder.
        ModelError: the weights of fewer than three encoders can be had.
    """
    specs = specs_of(blocks, where)
    pairs: dict[str, Pair] = {}
    left_out: dict[str, str] = {}
    for name, spec in specs.items():
        if not spec:
            left_out[name] = NO_SPEC
            continue
        try:
            pairs[name] = pair_of(spec)
        except AlignbenchError as error:
            left_out[name] = str(error)
    if len(pairs) < FEWEST:
        name = next(name for name in left_out if specs[name])
        raise ModelError(
            f"--fill: {len(pairs)} of {len(specs)} encoders of {where} could be scored, and {FEWEST} are "
            f"needed; the first that could not is {name!r}: {left_out[name]}"
        )
    settings = CellSettings(seed=seed, width=min(pair.x.dim for pair in pairs.values()))
    values = {name: metric_values(pair, settings) for name, pair in pairs.items()}
    tables = {}
    for block, table in blocks.items():
        rows = [i for i, name in enumerate(table.encoders) if name in pairs]
        if len(rows) >= FEWEST:
            tables[block] = _with_scores(_rows_of(table, rows), values)
    return Filled(tables, left_out, pairs)


def specs_of(blocks: Mapping[str, Table], where: str) -> dict[str, str]:
    """Return encoder -> the spec of its weights, with an alias for each; "" where the table names none.

    Args:
        blocks: block -> its encoders.
        where: the table, for errors.

    Raises:
        DataError: no spec is named at all, or blocks name different weights for one encoder.
    """
    specs: dict[str, str] = {}
    for table in blocks.values():
        for name, spec in zip(table.encoders, table.specs or [""] * len(table.encoders), strict=True):
            before = specs.get(name) or spec
            if spec and spec != before:
                raise DataError(
                    f"--fill: {where} names two different weights for {name!r}, {before!r} and {spec!r}; "
                    "give the encoders two names, or one spec"
                )
            specs[name] = before
    if not any(specs.values()):
        raise DataError(f"--fill: {where} has no column 'spec' that names the weights of its encoders")
    return {name: spec and _named(place, name, spec) for place, (name, spec) in enumerate(specs.items())}


def _named(place: int, name: str, spec: str) -> str:
    """Return a spec with an alias that no other encoder of the table has, and hardly one of the run."""
    short = re.sub(r"[^A-Za-z0-9.]+", "-", name)[:_LONGEST]
    return spec if "=" in spec else f"row-{place + 1}-{short}={spec}"


def _rows_of(table: Table, rows: list[int]) -> Table:
    """Return the table with these rows only."""
    return replace(
        table,
        encoders=tuple(table.encoders[i] for i in rows),
        lineages=tuple(table.lineages[i] for i in rows),
        families=tuple(table.families[i] for i in rows),
        metrics={name: values[rows] for name, values in table.metrics.items()},
        outcomes={name: values[rows] for name, values in table.outcomes.items()},
        specs=tuple(table.specs[i] for i in rows),
    )


def _with_scores(table: Table, values: Mapping[str, Mapping[str, float]]) -> Table:
    """Return the table with our metrics beside its own scores."""
    left_out = dict(table.left_out)

    def rows_of(metric: str) -> list[list[float]]:
        return [[values[name].get(metric, np.nan)] for name in table.encoders]

    ours = complete_values(PREDICTORS, rows_of, left_out, "block")
    return replace(table, metrics={**table.metrics, **ours}, left_out=left_out)
