"""Leads of one score over another: a plain loop, lineages as units, and what can't be told apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alignbench.errors import InputError
from alignbench.experiments.validity.lead import Lead, lead
from alignbench.experiments.validity.links import validity
from alignbench.experiments.validity.study_tables import leads_markdown, leads_of
from alignbench.experiments.validity.table import Table


def table(n: int, noise: dict[str, float], checkpoints: int = 1) -> Table:
    """Return scores that are the outcome with noise, in two columns; early checkpoints are noise alone."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(n, 2))
    early = (checkpoints - 1) * n
    scores = {name: y + size * rng.normal(size=(n, 2)) for name, size in noise.items()}
    names = tuple(f"lineage-{i}" for i in range(n))
    return Table(
        encoders=tuple(f"encoder-{i}" for i in range(early + n)),
        lineages=names * checkpoints,
        families=("one",) * (early + n),
        columns=("a", "b"),
        metrics={k: np.concatenate([rng.normal(size=(early, 2)), v]) for k, v in scores.items()},
        outcomes={"y": np.concatenate([rng.normal(size=(early, 2)), y])},
        left_out={},
    )


def test_the_lead_is_the_difference_of_mean_correlations_and_its_interval_that_of_a_loop() -> None:
    data = table(12, {"near": 0.3, "far": 2.0})
    found = lead(data, "near", "far", "y")
    y, near, far = data.outcomes["y"], data.metrics["near"], data.metrics["far"]

    def r(x: np.ndarray, rows: np.ndarray) -> float:
        return abs(float(np.mean([np.corrcoef(x[rows, j], y[rows, j])[0, 1] for j in range(2)])))

    every = np.arange(12)
    assert found.value == pytest.approx(r(near, every) - r(far, every), abs=1e-12)
    rng = np.random.default_rng(1)
    drawn = [rng.integers(12, size=12) for _ in range(3000)]
    leads = [r(near, rows) - r(far, rows) for rows in drawn]
    assert (found.low, found.high) == pytest.approx(np.percentile(leads, [2.5, 97.5]), abs=0.05)
    assert 0 < found.low < found.value


def test_scores_of_one_quality_have_a_lead_of_either_sign() -> None:
    found = lead(table(17, {"one": 1.0, "two": 1.0}), "one", "two", "y")
    assert found.low < 0 < found.high


def test_a_score_has_no_lead_over_itself_with_the_other_sign() -> None:
    data = table(9, {"one": 1.0})
    both = {"one": data.metrics["one"], "two": -data.metrics["one"]}
    found = lead(replace(data, metrics=both), "one", "two", "y")
    assert (found.value, found.low, found.high) == pytest.approx((0.0, 0.0, 0.0), abs=1e-12)


def test_the_last_checkpoint_stands_for_its_lineage() -> None:
    noise = {"near": 0.3, "far": 2.0}
    whole = table(12, noise, checkpoints=3)
    last = slice(24, 36)
    alone = replace(
        whole,
        encoders=whole.encoders[last],
        lineages=whole.lineages[last],
        families=whole.families[last],
        metrics={name: values[last] for name, values in whole.metrics.items()},
        outcomes={name: values[last] for name, values in whole.outcomes.items()},
    )
    assert lead(whole, "near", "far", "y") == lead(alone, "near", "far", "y")


def test_too_few_lineages_have_none() -> None:
    with pytest.raises(InputError, match="needs 5 lineages, and there are 4"):
        lead(table(4, {"one": 1.0, "two": 1.0}), "one", "two", "y")


def test_leads_are_of_scores_that_stand_and_over_debiased_cka() -> None:
    data = table(17, {"near": 0.2, "noise": 9.0, "debiased_cka": 0.5})
    assert [(one.metric, one.other) for one in leads_of(validity(data, "t"))] == [("near", "debiased_cka")]
    assert leads_of(validity(table(17, {"near": 0.2}), "t")) == []


def test_leads_are_a_table_and_none_are_nothing() -> None:
    assert leads_markdown([]) == ""
    assert leads_markdown([Lead("a", "b", "y", 0.254, -0.1, 0.5)]).splitlines()[2:] == [
        "| a | y | 0.25 | -0.10 to 0.50 |"
    ]
