"""Made-up scores of encoders that can be compared in pairs, on all data and by type."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.datatypes import ALL
from alignbench.findings.ranking import Ranking, leading, rankings
from alignbench.tests.report_fakes import make_score
from alignbench.types import Null, Score

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alignbench.types import Failure

RNG = np.random.default_rng(8)
NOISE = RNG.normal(size=(30, 4))
NOISE = (NOISE - NOISE.mean(axis=0)) / NOISE.std(axis=0)
SPLITS, SEEDS = 5, 3
TABLES = RNG.normal(size=(4, SPLITS, SEEDS))


def paired(values: Mapping[str, float], error: float = 0.01, **fields: Any) -> list[Score]:
    """Return scores whose own standard error is `error`, each independent of the others."""
    return [
        make_score("calibrated_cka", value, e, deletions=value + error / 29**0.5 * NOISE[:, i], **fields)
        for i, (e, value) in enumerate(values.items())
    ]


def trained(
    values: Mapping[str, float], spread: float = 0.01, metric: str = "mrr", **fields: Any
) -> list[Score]:
    """Return trained scores with a value a split and seed."""
    scores = []
    for i, (encoder, value) in enumerate(values.items()):
        table = value + spread * (TABLES[i] - TABLES[i].mean())
        plain: dict[str, Any] = {
            "experiment": "e2e",
            "params": {
                "mode": "cross-modal",
                "direction": "image_to_text",
                "loss": "contrastive",
                "splits": SPLITS,
                "seeds": SEEDS,
                "test_to_train": 0.25,
            },
            "variant": "image_to_text contrastive",
        } | fields
        scores.append(make_score(metric, value, encoder, deletions=(), repeats=tuple(table.ravel()), **plain))
    return scores


def turned(score: Score, direction: str, loss: str, value: float | None) -> Score:
    """Return the score as of another direction and loss."""
    params = {**score.params, "direction": direction, "loss": loss}
    missing = {"status": "not_applicable", "reason": "no split"} if value is None else {}
    return replace(score, value=value, params=params, variant=f"{direction} {loss}", **missing)  # type: ignore[arg-type]


def typed() -> list[Score]:
    """Return scores on all data and by type: the best differs by type, one type is at chance."""
    null = Null("exact", 0.0, 0.02, 20.0, 0.001, 999)
    scores = paired({"a": 0.41, "b": 0.40, "c": 0.1}, null=null)
    scores += paired({"a": 0.41, "b": 0.20, "c": 0.1}, null=null, data_type="chart", n=30)
    scores += paired({"a": 0.30, "b": 0.41, "c": 0.405}, null=null, data_type="document", n=30)
    scores += paired({"a": 0.02, "b": 0.01, "c": 0.0}, null=replace(null, p=0.4), data_type="table", n=30)
    return scores


def rank(
    scores: Iterable[Score], losses: Sequence[str] = (), failures: Sequence[Failure] = ()
) -> list[Ranking]:
    """Return the rankings that answer for an LLM."""
    return leading(rankings(scores, losses, failures))


def rank_by_type(scores: Iterable[Score], failures: Sequence[Failure] = ()) -> list[Ranking]:
    """Return the rankings on each data type by itself."""
    return [ranking for ranking in rankings(scores, (), failures) if ranking.data_type != ALL]
