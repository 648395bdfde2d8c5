"""Validity within a run: the little that its own few encoders can say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.datatypes import ALL
from alignbench.experiments.validity.links import validity
from alignbench.experiments.validity.study_cells import (
    PREDICTORS,
    CellSettings,
    metric_values,
    retrieval_values,
)
from alignbench.experiments.validity.table import Table, complete_values
from alignbench.metrics import METRICS
from alignbench.stats.correlation import ESTIMABLE
from alignbench.types import Null, Score
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alignbench.stats import Correlation
    from alignbench.types import Pair

EXPERIMENT = "validity"
METRIC = "largest_r"
# Enough to rank encoders in a short time; validity itself is measured by the study.
SETTINGS = CellSettings(splits=2, elas_splits=0, epochs=100, vlm_epochs=0, by_type=False)
_UNTRAINED = "random weights: a control without training"


def run_table(pairs: Sequence[Pair], seed: int) -> Table:
    """Return encoders with their scores and the outcomes of short end-to-end trainings; one column per LLM.

    The scores are those that a run computes unasked: with few encoders, more candidates only raise p.
    An encoder's lineage is the source of its weights. Encoders with random weights are left out, since they
    come from no training.

    Args:
        pairs: every encoder with every LLM.
        seed: the seed of splits and trainings.
    """
    settings = CellSettings(**{**SETTINGS.to_dict(), "seed": seed, "width": min(p.x.dim for p in pairs)})
    unasked = [name for name in PREDICTORS if METRICS.get(name).default]
    cells: dict[tuple[str, str], tuple[dict[str, float], dict[str, float]]] = {}
    models, left_out = {}, {}
    for pair in pairs:
        encoder = pair.x.model
        if encoder.weights == "random":
            left_out[encoder.label] = _UNTRAINED
            continue
        models[encoder.label] = encoder
        cells[encoder.label, pair.y.model.label] = (
            metric_values(pair, settings, unasked),
            retrieval_values(pair, settings),
        )
    llms = list(dict.fromkeys(llm for _, llm in cells))

    def values_of(side: int) -> dict[str, Any]:
        def rows_of(name: str) -> list[list[float]]:
            return [[cells[encoder, llm][side].get(name, np.nan) for llm in llms] for encoder in models]

        names = dict.fromkeys(name for both in cells.values() for name in both[side])
        return complete_values(names, rows_of, left_out, "LLM")

    return Table(
        encoders=tuple(models),
        # a registered encoder has no source that would tell it from others
        lineages=tuple(m.label if m.weights == "custom" else m.source for m in models.values()),
        families=tuple(model.family for model in models.values()),
        columns=tuple(f"{llm} {ALL}" for llm in llms),
        metrics=values_of(0),
        outcomes=values_of(1),
        left_out=left_out,
    )


def run_score(pairs: Sequence[Pair], seed: int) -> Score:
    """Return the largest |r| of a score with an outcome, and its p adjusted for looking at all of them.

    With fewer than five lineages the score is flagged `not_estimable`, but keeps its numbers.
    """
    table = run_table(pairs, seed)
    enough = len(table.encoders) > 2 and table.metrics and table.outcomes
    result = validity(table, "this run", seed=seed) if enough else None
    common: dict[str, Any] = {
        "experiment": EXPERIMENT,
        "metric": METRIC,
        "encoder": None,
        "llm": None,
        "dataset": pairs[0].dataset,
        "n": pairs[0].n_groups,
        "dims": (),
        "seed": seed,
        "weights": {side.model.label: side.model.weights for pair in pairs for side in (pair.x, pair.y)},
    }
    lineages = len(set(table.lineages))
    if result is None or result.best is None:
        counted = f"{len({p.x.model.label for p in pairs})} encoders, {plural(lineages, 'lineage')}"
        reason = f"not estimable: {counted}; at least {ESTIMABLE} lineages are needed"
        return Score(value=None, status="not_applicable", reason=reason, params=_about(table), **common)
    best = max(result.links, key=lambda link: abs(link.correlation.pearson)).correlation
    return Score(
        value=abs(best.pearson),
        variant=f"{best.metric} with {best.outcome}",
        null=Null("labels of lineages permuted, the largest of all", p=best.p_adjusted, draws=best.orders),
        flags=() if best.estimable else ("not_estimable",),
        params={
            **_about(table),
            "statement": result.statement,
            "smallest_p": best.smallest_p,
            "links": [_short(link.correlation) for link in result.links],
        },
        **common,
    )


def _about(table: Table) -> dict[str, Any]:
    return {
        "mode": "cross-modal",
        "encoders": list(table.encoders),
        "lineages": len(set(table.lineages)),
        "columns": list(table.columns),
        "left_out": dict(table.left_out),
        "predictors": [name for name in PREDICTORS if name in table.metrics],
    }


def _short(correlation: Correlation) -> dict[str, Any]:
    names = ("metric", "outcome", "pearson", "spearman", "kendall", "p", "p_adjusted", "low", "high")
    return {name: getattr(correlation, name) for name in names}
