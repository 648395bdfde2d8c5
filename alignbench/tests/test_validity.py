"""Validity of a table of encoders: what three of them would have said, and what the figures show."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from alignbench.experiments.validity.figures import validity_matrix, validity_paradox, validity_scatter
from alignbench.experiments.validity.links import validity
from alignbench.experiments.validity.run import run_score
from alignbench.experiments.validity.study_cells import caption_values
from alignbench.experiments.validity.table import Table
from alignbench.stats.correlation import by_chance, subset_r
from alignbench.tests.pairs import make_pair
from alignbench.types import ModelInfo


def make_table(n: int = 7, columns: int = 2, noise: float = 0.3, names: str = "encoder-{}") -> Table:
    rng = np.random.default_rng(n)
    quality = rng.normal(size=(n, 1))
    encoders = tuple(names.format(i) for i in range(n))

    def noisy(scale: float) -> Any:
        return quality + scale * rng.normal(size=(n, columns))

    return Table(
        encoders=encoders,
        lineages=encoders,
        families=tuple(("contrastive", "supervised", "random")[i % 3] for i in range(n)),
        columns=tuple(f"column {i}" for i in range(columns)),
        metrics={"good": noisy(noise), "bad": rng.normal(size=(n, columns))},
        outcomes={"mrr_image_to_text": noisy(noise), "other": rng.normal(size=(n, columns))},
        left_out={},
    )


def test_subsets_of_three_are_all_there_are() -> None:
    table = make_table()
    found = validity(table)
    paradox = next(p for p in found.paradoxes if (p.metric, p.outcome) == ("good", "mrr_image_to_text"))
    x, y = table.metrics["good"], table.outcomes["mrr_image_to_text"]
    naive = [
        np.corrcoef(x[list(three), c], y[list(three), c])[0, 1]
        for three in itertools.combinations(range(7), 3)
        for c in range(2)
    ]
    assert sorted(paradox.r) == pytest.approx(sorted(naive))
    assert (paradox.subsets, paradox.drawn) == (35, 35)
    assert paradox.strong["0.9"] == pytest.approx(np.mean(np.abs(naive) >= 0.9))
    assert paradox.opposite == pytest.approx(np.mean(np.asarray(naive) < 0))
    assert paradox.smallest_p == pytest.approx(1 / 3)


@pytest.mark.parametrize(("size", "r"), [(3, 0.99), (3, 0.9), (5, 0.8)])
def test_what_chance_gives_is_what_unrelated_numbers_give(size: int, r: float) -> None:
    rng = np.random.default_rng(0)
    n = 20_000 * size
    x, y = rng.normal(size=(2, n, 1))
    drawn = subset_r(x, y, np.arange(n).reshape(-1, size))
    assert by_chance(size, r) == pytest.approx(np.mean(np.abs(drawn) >= r), abs=0.01)


@pytest.mark.slow
def test_many_subsets_are_drawn() -> None:
    (paradox, *_) = validity(make_table(40, columns=1)).paradoxes
    assert (paradox.subsets, paradox.drawn) == (9880, 5000)


def test_a_true_relation_stands_out_and_the_rest_does_not() -> None:
    found = validity(make_table(12, noise=0.2), "a table")
    assert found.best is not None
    assert (found.best.correlation.metric, found.best.correlation.outcome) == ("good", "mrr_image_to_text")
    assert found.best.correlation.p_adjusted < 0.05
    assert "good, which predicts mrr_image_to_text" in found.statement
    assert found.agreement["mrr_image_to_text"] > 0.5
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["lineages"] == 12
    assert len(plain["links"]) == 4
    assert "r" not in plain["paradox"][0]


def test_what_does_not_vary_is_named_as_left_out() -> None:
    table = make_table()
    flat = replace(table, metrics={**table.metrics, "flat": np.ones((7, 2))})
    assert validity(flat).left_out == {"flat": "it does not vary over the encoders"}


@pytest.mark.slow
def test_independent_data_are_called_significant_one_time_in_twenty() -> None:
    rng = np.random.default_rng(1)
    small = 0
    for _ in range(100):
        table = make_table(6)
        shuffled = {name: rng.normal(size=(6, 2)) for name in table.outcomes}
        best = validity(replace(table, outcomes=shuffled)).best
        assert best is not None
        small += best.correlation.p_adjusted <= 0.05
    assert small <= 12


def test_gains_are_of_the_captions_that_count() -> None:
    losses = np.array([[1.0, 3.0, 5.0], [4.0, 2.0, np.nan], [9.0, np.nan, 6.0]])
    tokens, types = np.array([2.0, 1.0, 4.0]), np.array(["a", "a", "b"])
    gain, within, log = caption_values(losses, tokens, types, np.array([True, True, False]))
    assert gain == pytest.approx(((3 + 5) / 2 - 1 + (4 - 2)) / 3)
    assert within == pytest.approx(((3 - 1) + (4 - 2)) / 3)
    assert log == pytest.approx((1 + 2) / 3)
    assert all(map(np.isnan, caption_values(losses, tokens, types, np.zeros(3, dtype=bool))))
    alone = caption_values(losses, tokens, types, np.array([False, False, True]))
    assert np.isnan(alone[1])
    assert alone[0] == pytest.approx(3 / 4)


def pairs_of(n: int, weights: tuple[str, ...] = ()) -> list[Any]:
    found = []
    for i in range(n):
        pair = make_pair(20, noise=0.5 + i, seed=i)
        kind: Any = weights[i] if weights else "embedded"
        info = ModelInfo(f"encoder-{i}", "vision", "clip", f"org/{i}", kind)
        found.append(replace(pair, x=replace(pair.x, model=info)))
    return found


@pytest.mark.slow
def test_a_run_of_four_encoders_with_a_control_is_not_estimable_and_says_its_numbers() -> None:
    score = run_score(pairs_of(4, ("embedded", "embedded", "embedded", "random")), seed=1)
    assert score.flags == ("not_estimable",)
    assert score.params["lineages"] == 3
    assert score.params["left_out"]["encoder-3"].startswith("random weights")
    assert score.params["statement"].startswith("Not estimable: 3 lineages, it takes 5")
    assert score.value is not None
    assert 0 <= score.value <= 1
    assert all(abs(link["pearson"]) <= score.value + 1e-12 for link in score.params["links"])


@pytest.mark.slow
def test_a_run_of_two_encoders_says_that_there_is_nothing_to_correlate() -> None:
    score = run_score(pairs_of(2), seed=1)
    assert score.status == "not_applicable"
    assert score.reason == "not estimable: 2 encoders, 2 lineages; at least 5 lineages are needed"


def test_stars_are_given_by_the_adjusted_p_alone() -> None:
    found = validity(make_table(12, noise=0.2))
    figure: Any = validity_matrix(found)
    texts = [text.get_text() for text in figure.axes[0].texts]
    starred = [link for link in found.links if link.correlation.p_adjusted <= 0.05]
    assert sum("*" in text for text in texts) == len(starred)
    assert 0 < len(starred) < len(texts)
    assert found.statement.split()[0] in figure.get_supxlabel()
    few: Any = validity_matrix(validity(make_table(4, noise=0.0)))
    assert not any("*" in text.get_text() for text in few.axes[0].texts)


@pytest.mark.parametrize("names", ["encoder-{}", "a-name-that-goes-on-and-on-for-far-too-long-{}"])
def test_the_scatter_names_every_encoder_in_every_column(names: str) -> None:
    found = validity(make_table(6, names=names))
    figure: Any = validity_scatter(found)
    assert len(figure.axes) == 2
    for ax in figure.axes:
        assert len([text for text in ax.texts if text.get_text()]) == 6


def test_the_paradox_figure_counts_every_subset_once_a_column() -> None:
    figure: Any = validity_paradox(validity(make_table(6)))
    left = figure.axes[0]
    assert sum(patch.get_height() for patch in left.patches) == 20 * 2
    assert "20 subsets" in figure.get_supxlabel()
    assert validity_paradox(validity(make_table(3))) is None
