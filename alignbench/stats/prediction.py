"""Does a score predict retrieval? Every recorded score of encoders with LLMs against every recorded MRR."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.stats.correlation import (
    ESTIMABLE,
    by_chance,
    correlations,
    last_of_each,
    smallest_p,
    subset_r,
    subsets_of,
)
from alignbench.stats.leader import LEVEL
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from alignbench.stats import Correlation
    from alignbench.types import ModelInfo, Score

    Matrix = NDArray[np.float64]

PREDICTORS = ("cka", "coral", "eas", "elas")  # experiments
OUTCOME = ("e2e", "mrr")
SHOWN_FIRST = (
    "calibrated_cka",
    "mutual_knn",
    "eas_adjusted",
    "elas",
    "debiased_cka",
    "linear_cka",
    "procrustes_similarity",
    "ncoral",
    "eas",
)
"""Metrics, in the order in which a reader is shown the first few."""
MOST_SHOWN = 4
_THREE = 3  # the number of encoders in the published correlation
_STRONG = (0.9, 0.99)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the run says about scores as predictors of retrieval.

    Args:
        encoders: the encoders whose scores were correlated.
        lineages: the number of trainings that they come from.
        columns: the (LLM, data type) combinations over which labels were permuted jointly.
        left_out: encoder or metric -> why it is not in the correlations.
        correlations: the correlations of every metric with every outcome.
        statement: the conclusion, in a sentence.
        paradox: what any three of the encoders would have said about CKA; "" if there are not three.
    """

    encoders: tuple[str, ...]
    lineages: int
    columns: tuple[tuple[str, str], ...]
    left_out: Mapping[str, str]
    correlations: tuple[Correlation, ...]
    statement: str
    paradox: str = ""

    @property
    def first(self) -> list[Correlation]:
        """The correlations with the first outcome that a reader is shown first."""
        outcome = next((one.outcome for one in self.correlations), "")
        of = {one.metric: one for one in self.correlations if one.outcome == outcome}
        return [of[metric] for metric in SHOWN_FIRST if metric in of][:MOST_SHOWN] or list(of.values())[:1]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types only."""
        plain = asdict(self)
        plain["encoders"] = list(self.encoders)
        plain["columns"] = [{"llm": llm, "data_type": data_type} for llm, data_type in self.columns]
        plain["correlations"] = [asdict(one) | {"estimable": one.estimable} for one in self.correlations]
        return plain


def predicts(
    scores: Iterable[Score], models: Iterable[ModelInfo] = (), *, seed: int = 42
) -> Prediction | None:
    """Return the correlations of scores with MRR over encoders; None if no MRR was recorded.

    An encoder's lineage is the source of its weights: two aliases of one checkpoint are one unit. Encoders
    with random weights come from no training. They are controls: figures show them, but they are left out
    here, where they would make any score look good.
    """
    recorded = [s for s in scores if s.encoder is not None and s.llm is not None and not s.other]
    outcomes = _tables(
        [s for s in recorded if (s.experiment, s.metric) == OUTCOME], lambda s: f"{s.metric} {s.variant}"
    )
    if not outcomes:
        return None
    goal = next(iter(outcomes.values()))
    columns = list(dict.fromkeys(column for _, column in goal))
    left_out = {}
    encoders = []
    for encoder in dict.fromkeys(str(s.encoder) for s in recorded):
        if any(s.weights.get(encoder) == "random" for s in recorded if s.encoder == encoder):
            left_out[encoder] = "random weights: a control, of no training"
        elif not all((encoder, column) in table for table in outcomes.values() for column in columns):
            left_out[encoder] = "no MRR for every LLM"
        else:
            encoders.append(encoder)
    metrics = {}
    predictors = [s for s in recorded if s.experiment in PREDICTORS and (not s.variant or s.metric == "elas")]
    for name, table in _tables(predictors, lambda s: f"{s.metric} {s.variant}".rstrip()).items():
        if all((encoder, column) in table for encoder in encoders for column in columns):
            metrics[name] = _matrix(table, encoders, columns)
        else:
            left_out[name] = "no value for every encoder and LLM"
    sources = {m.label: m.source for m in models} | {m.name: m.source for m in models}
    lineages = [sources.get(encoder, encoder) for encoder in encoders]
    results: list[Correlation] = []
    goals: dict[str, Matrix] = {}
    if metrics and encoders:
        goals = {name: _matrix(table, encoders, columns) for name, table in outcomes.items()}
        results = correlations(metrics, goals, lineages, seed=seed)
    count = len(set(lineages))
    best = _of_cka(results)
    three = (
        "" if best is None else paradox_of(best, metrics[best.metric], goals[best.outcome], lineages, seed)
    )
    return Prediction(
        encoders=tuple(encoders),
        lineages=count,
        columns=tuple(columns),
        left_out=left_out,
        correlations=tuple(results),
        statement=verdict_of(count, results),
        paradox=three,
    )


def _of_cka(results: Sequence[Correlation]) -> Correlation | None:
    """Return the correlation of CKA with the first outcome; without CKA, the strongest for that outcome."""
    own = [one for one in results if one.outcome == results[0].outcome]
    names = ("calibrated_cka", "debiased_cka", "linear_cka")
    of_cka = {one.metric: one for one in own if one.metric in names}
    first = next((of_cka[name] for name in names if name in of_cka), None)
    return first or max(own, key=lambda one: abs(one.pearson), default=None)


def paradox_of(one: Correlation, x: Matrix, y: Matrix, lineages: Sequence[str], seed: int = 42) -> str:
    """Describe what three encoders alone would have said of a correlation, and how much that is worth.

    Args:
        one: the correlation over all lineages.
        x: the score [encoders, columns].
        y: the outcome [encoders, columns].
        lineages: the lineage of each encoder.
        seed: the seed of the subsets, if there are too many to enumerate.
    """
    units = last_of_each(lineages)
    if len(units) < _THREE:
        return ""
    what = f"The three-encoder paradox: {one.metric} with {one.outcome} has r = {one.pearson:.2f} over"
    strong, very = (by_chance(_THREE, level) for level in _STRONG)
    chance = f"of three unrelated numbers {strong:.0%} reach |r| ≥ .9 and {very:.0%} reach |r| ≥ .99"
    if len(units) == _THREE:
        least = smallest_p(_THREE)
        return f"{what} three lineages, which proves nothing: {chance}, and no p can be below {least:.2f}."
    r = subset_r(x, y, subsets_of(units, _THREE, seed)).ravel()
    r = r[np.isfinite(r)]
    if not len(r):
        return ""
    share, opposite = np.mean(np.abs(r) >= _STRONG[0]), np.mean(np.sign(r) != np.sign(one.pearson))
    return (
        f"{what} {len(units)} lineages, but three of them alone would have said anything between "
        f"{r.min():.2f} and {r.max():.2f}: |r| ≥ .9 in {share:.0%} of cases, the opposite sign in "
        f"{opposite:.0%}; {chance}."
    )


def worth(one: Correlation) -> str:
    """Return a correlation with its p, or the statement that so few lineages can't estimate it."""
    around = "" if one.low is None else f" ({one.low:.2f} to {one.high:.2f} leaving one out)"
    told = (
        f"p = {one.p_adjusted:.2g}" if one.estimable else f"not estimable: {plural(one.lineages, 'lineage')}"
    )
    return f"r = {one.pearson:.2f}{around}, ρ = {one.spearman:.2f}, τ = {one.kendall:.2f}; {told}"


def _tables(scores: Sequence[Score], name: Any) -> dict[str, dict[tuple[str, tuple[str, str]], float]]:
    """Return name -> (encoder, (llm, data type)) -> value; the first recorded value counts."""
    tables: dict[str, dict[tuple[str, tuple[str, str]], float]] = {}
    for score in scores:
        if score.value is not None and "fidelity" not in score.flags:
            cell = (str(score.encoder), (str(score.llm), score.data_type))
            tables.setdefault(name(score), {}).setdefault(cell, score.value)
    return tables


def _matrix(
    table: Mapping[tuple[str, tuple[str, str]], float],
    encoders: Sequence[str],
    columns: Sequence[tuple[str, str]],
) -> Matrix:
    return np.asarray([[table[encoder, column] for column in columns] for encoder in encoders])


def verdict_of(lineages: int, results: Sequence[Correlation]) -> str:
    """Return the conclusion from correlations over these lineages, in a sentence."""
    trainings = plural(lineages, "lineage")
    if lineages < ESTIMABLE:
        least = f"; the smallest two-sided p that {lineages} can give is {smallest_p(lineages):.2g}"
        return f"Not estimable: {trainings}, it takes {ESTIMABLE}{least if lineages > 2 else ''}."
    if not results:
        return f"Nothing to correlate: no score with a value for each of {trainings}."
    best = min(results, key=lambda one: (one.p_adjusted, -abs(one.pearson)))
    verdict = "predicts" if best.p_adjusted <= LEVEL else "is not shown to predict"
    return (
        f"Of {len(results)} correlations over {trainings} the strongest is {best.metric}, which {verdict} "
        f"{best.outcome}: r = {best.pearson:.2f}, p = {best.p_adjusted:.2g} after all were looked at."
    )
