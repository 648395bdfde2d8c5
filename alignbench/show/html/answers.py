"""The answer for each LLM, and the leaderboards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.datatypes import ALL
from alignbench.findings.answer import answer
from alignbench.findings.choice import is_cross_modal
from alignbench.findings.control import control_sentences
from alignbench.findings.numbers import share
from alignbench.show.html.bars import bar, scale_of
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
        place: from 1; None where it has no value.
        best: the probability that it is the best.
        row: its score.
        tied: whether it is the best, or may be.
        bar: the value with its interval, drawn on an axis that all leaderboards of the metric share.
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
        llm: what it is called.
        data_type: "all", or the one type.
        metric: what is shown of them, with its variant: what they are ranked by, if they are.
        higher_is_better: the metric's direction.
        n: the smallest number of groups that a score is made of.
        placed: the encoders, those without a value last.
        verdict: which encoder is the best, or which of them may be.
        decided: whether any encoder may be called the best.
        sentences: how sure, and what speaks against it.
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

    @property
    def certain(self) -> bool:
        """Whether probabilities of being the best are known."""
        return any(one.best is not None for one in self.placed)

    @property
    def on(self) -> str:
        """The data type where it is not all of them."""
        return "" if self.data_type == ALL else self.data_type


def boards(rankings: Sequence[Ranking], findings: Findings, rows: Sequence[ScoreRow]) -> list[Board]:
    """Return a leaderboard a ranking; those of one metric share an axis.

    Args:
        rankings: those of the findings that become leaderboards.
        findings: of the run.
        rows: one for each score, in the same order.
    """
    label = findings.labels.__getitem__
    of_score = {id(score): row for score, row in zip(findings.scores, rows, strict=True)}
    scales = {
        metric: scale_of(s for r in rankings for s in r.scores.values() if r.metric == metric)
        for metric in {ranking.metric for ranking in rankings}
    }
    found = []
    for ranking in rankings:
        of_llm = [c for c in findings.controls if (c.llm, c.data_type) == (ranking.llm, ranking.data_type)]
        first = next(iter(ranking.scores.values()), None)
        places, best = ranking.places, ranking.probability_best or {}
        first_sentence, *rest = answer(ranking, label, numbers=False)
        found.append(
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
                sentences=[
                    *([] if ranking.best else [first_sentence]),
                    *rest,
                    *control_sentences(of_llm, label),
                ],
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class MetricTable:
    """Encoders by metrics: a column a metric, a row an encoder with an LLM on one kind of data.

    Args:
        llms: those that have just these metrics.
        metrics: the columns.
        rows: encoder, LLM, data type and a score a column; None where it was not computed.
    """

    llms: Sequence[str]
    metrics: Sequence[str]
    rows: Sequence[tuple[str, str, str, Sequence[ScoreRow | None]]]


def metric_tables(rows: Sequence[ScoreRow]) -> list[MetricTable]:
    """Return all cross-modal scores without variants side by side, LLMs with the same metrics in one table.

    Most metrics are computed for some of the LLMs only: one table of all would be mostly empty. Of two scores
    of one metric the one for fidelity only gives way.
    """
    cells: dict[str, dict[tuple[str, str], dict[str, ScoreRow]]] = {}
    for row in rows:
        score = row.score
        if not is_cross_modal(score) or score.experiment not in _METRICS or score.variant or score.other:
            continue
        own = cells.setdefault(row.llm, {}).setdefault((score.data_type, row.encoder), {})
        if score.metric not in own or "fidelity" in own[score.metric].score.flags:
            own[score.metric] = row
    known = dict.fromkeys(row.score.metric for row in rows)
    groups: dict[tuple[str, ...], list[str]] = {}
    for llm, of_llm in cells.items():
        computed = {metric for own in of_llm.values() for metric in own}
        groups.setdefault(tuple(filter(computed.__contains__, known)), []).append(llm)
    return [
        MetricTable(
            llms,
            metrics,
            [
                (encoder, llm, data_type, [own.get(metric) for metric in metrics])
                for llm in llms
                for (data_type, encoder), own in cells[llm].items()
            ],
        )
        for metrics, llms in groups.items()
    ]
