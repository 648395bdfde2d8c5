"""The answer for each LLM, and the leaderboards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.datatypes import ALL
from alignbench.findings.answer import answer
from alignbench.findings.choice import is_cross_modal
from alignbench.findings.numbers import share
from alignbench.show.html.bars import axis, bar, scale_of
from alignbench.stats.prediction import PREDICTORS
from alignbench.stats.verdict import headline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from alignbench.findings.findings import Findings
    from alignbench.findings.ranking import Ranking
    from alignbench.show.html.rows import ScoreRow

_METRICS = frozenset({*PREDICTORS, "e2e", "multi_llm"})


@dataclass(frozen=True, slots=True)
class Placed:
    """An encoder in a leaderboard.

    Args:
        place: its place, from 1; None if it has no value.
        best: the probability that it is the best.
        row: the row of its score.
        tied: whether it is the best, or may be.
        bar: a drawing of the value and its interval, on an axis that all leaderboards of the metric share.
    """

    place: int | None
    best: float | None
    row: ScoreRow
    tied: bool
    bar: Markup

    @property
    def certainty(self) -> str:
        """P(best) as text."""
        return share(self.best, "–")


@dataclass(frozen=True, slots=True)
class Board:
    """The encoders for one LLM on one kind of data, best first.

    Args:
        llm: the LLM's label.
        data_type: "all", or one data type.
        metric: the metric that is shown, with its variant; encoders are ranked by it if they are ranked.
        higher_is_better: the metric's direction.
        n: the smallest number of groups of a score.
        placed: the encoders, those without a value last.
        verdict: which encoder is the best, or which may be.
        decided: whether any encoder may be called the best.
        sentences: how certain the verdict is, and what speaks against it.
        axis: the numbers of the axis of the drawings.
    """

    llm: str
    data_type: str
    metric: str
    higher_is_better: bool
    n: int
    placed: Sequence[Placed]
    verdict: str
    decided: bool
    sentences: Sequence[str]
    axis: Markup

    @property
    def certain(self) -> bool:
        """Whether probabilities of being the best are known."""
        return any(placed.best is not None for placed in self.placed)

    @property
    def on(self) -> str:
        """The data type; "" for all data."""
        return "" if self.data_type == ALL else self.data_type


def boards(rankings: Sequence[Ranking], findings: Findings, rows: Sequence[ScoreRow]) -> list[Board]:
    """Return one leaderboard per ranking; those of one metric share an axis.

    Args:
        rankings: the rankings that become leaderboards.
        findings: the run's findings.
        rows: one row per score, in the same order.
    """
    label = findings.labels.__getitem__
    of_score = {id(score): row for score, row in zip(findings.scores, rows, strict=True)}
    scales = {
        metric: scale_of(s for r in rankings for s in r.scores.values() if r.metric == metric)
        for metric in {ranking.metric for ranking in rankings}
    }
    made = []
    for ranking in rankings:
        first = next(iter(ranking.scores.values()), None)
        places, best = ranking.places, ranking.probability_best or {}
        first_sentence, *rest = answer(ranking, label, numbers=False)
        made.append(
            Board(
                llm=label(ranking.llm),
                data_type=ranking.data_type,
                metric=" ".join(filter(None, (first.metric, first.variant))) if first else "",
                higher_is_better=first.higher_is_better if first else ranking.higher_is_better,
                n=ranking.n or min((score.n for score in ranking.scores.values()), default=0),
                placed=[
                    Placed(
                        places.get(e),
                        best.get(e),
                        of_score[id(score)],
                        e in ranking.answer,
                        bar(score, scales[ranking.metric], of_score[id(score)].colour),
                    )
                    for e, score in ranking.scores.items()
                ],
                verdict=headline(ranking, label),
                decided=bool(ranking.answer),
                sentences=[*([] if ranking.best else [first_sentence]), *rest],
                axis=axis(scales[ranking.metric]),
            )
        )
    return made


@dataclass(frozen=True, slots=True)
class MetricTable:
    """Encoders by metrics: one column per metric, one row per encoder, LLM and data type.

    Args:
        llms: the LLMs that have exactly these metrics.
        metrics: the columns.
        rows: encoder, LLM, data type, and one score per column; None if it was not computed.
    """

    llms: Sequence[str]
    metrics: Sequence[str]
    rows: Sequence[tuple[str, str, str, Sequence[ScoreRow | None]]]


def metric_tables(rows: Sequence[ScoreRow]) -> list[MetricTable]:
    """Return all cross-modal scores without variants side by side, one table for LLMs with the same metrics.

    Most metrics are computed for some LLMs only, so that a single table would be mostly empty. Of two scores
    of a metric, the one without the flag "fidelity" is shown.
    """
    cells: dict[str, dict[tuple[str, str], dict[str, ScoreRow]]] = {}
    for row in rows:
        score = row.score
        if not is_cross_modal(score) or score.experiment not in _METRICS or score.variant or score.other:
            continue
        of_encoder = cells.setdefault(row.llm, {}).setdefault((score.data_type, row.encoder), {})
        if score.metric not in of_encoder or "fidelity" in of_encoder[score.metric].score.flags:
            of_encoder[score.metric] = row
    known = dict.fromkeys(row.score.metric for row in rows)
    groups: dict[tuple[str, ...], list[str]] = {}
    for llm, of_llm in cells.items():
        computed = {metric for by_metric in of_llm.values() for metric in by_metric}
        groups.setdefault(tuple(filter(computed.__contains__, known)), []).append(llm)
    return [
        MetricTable(
            llms,
            metrics,
            [
                (encoder, llm, data_type, [by_metric.get(metric) for metric in metrics])
                for llm in llms
                for (data_type, encoder), by_metric in cells[llm].items()
            ],
        )
        for metrics, llms in groups.items()
    ]
