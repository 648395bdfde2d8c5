"""Scores from some of many rows: equal to those of all rows if all are asked, and honest if some are."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.errors import DegenerateError
from alignbench.experiments.many import plan_of
from alignbench.experiments.queried import evaluate_queried
from alignbench.experiments.scoring import Settings, score_pair
from alignbench.metrics import METRICS
from alignbench.metrics.cka_debiased import unbiased_hsic
from alignbench.metrics.lists import Known
from alignbench.metrics.neighbors_asked import estimated_hsic
from alignbench.metrics.queries import Answers, Asked, Queried
from alignbench.rows import unit_rows
from alignbench.stats import evaluate
from alignbench.workshop.measure._many_pairs import pair_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from numpy.typing import NDArray

    from alignbench.metrics.lists import Rows

    Matrix = NDArray[np.float64]
    Indices = NDArray[np.intp]

N = 240
SEEING = (
    "mutual_knn",
    "calibrated_mutual_knn",
    "lcs_knn",
    "edit_knn",
    "cycle_knn",
    "cycle_knn_reverse",
    "cknna",
)
ALL = (*SEEING, "knn_accuracy")


@cache
def sides(what: str) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 8)) + 3
    y = x[:, :6] @ rng.normal(size=(6, 9)) + 2 * rng.normal(size=(N, 9)) + 1
    if what == "copies":
        x[100:160] = x[5]
        y[90:105] = y[3]
    if what == "grid":
        return np.round(x), np.round(y)
    return unit_rows(x - 2), unit_rows(y)


def asked(x: Matrix, y: Matrix, queries: Indices, k: int = 6) -> Asked:
    lists: dict[tuple[str, type[Rows]], Known] = {}

    def known(side: Literal["x", "y"], compared: type[Rows], k: int) -> Known:
        rows = np.arange(len(x))
        if (side, compared) not in lists:
            lists[side, compared] = Known(compared.of(x if side == "x" else y, rows, side), k)
        return lists[side, compared]

    names = np.arange(len(x)).astype(str)
    return Asked(x, np.arange(len(x)), queries, {"k": k}, names, names, 0, known)


def ask(name: str, of: Asked) -> Answers:
    queried = METRICS.get(name).queried
    assert queried is not None
    return queried.ask(of)


@pytest.fixture
def few_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alignbench.experiments.queried.QUERIES", 80)
    monkeypatch.setattr("alignbench.experiments.queried.FURTHER", 60)


@pytest.fixture
def all_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alignbench.experiments.queried.QUERIES", N)
    monkeypatch.setattr("alignbench.experiments.queried.FURTHER", N)


@pytest.mark.usefixtures("all_queries")
@pytest.mark.parametrize("what", ["normal", "copies", "grid"])
@pytest.mark.parametrize("name", ALL)
def test_with_all_rows_it_is_the_score_of_all_rows(name: str, what: str) -> None:
    metric = METRICS.get(name)
    x, y = (side.astype(np.float32) for side in sides(what))
    pair = replace(pair_of(x, y), groups=tuple(str(i // 3) for i in range(N)))
    found = evaluate_queried(
        metric, pair, 42, lambda side, how, k, compute: compute(), labelled=True, null=False, interval=False
    )
    other = y if metric.two_sided else None
    expected = evaluate(metric, x, other, labels=pair.labels, groups=pair.groups, null=False, interval=False)
    assert found.value == pytest.approx(expected.value, rel=1e-12, abs=1e-14)
    assert (found.n, found.chance, found.parts) == (expected.n, expected.chance, expected.parts)
    assert set(found.flags) == {*expected.flags, "queried"}


@pytest.mark.parametrize("name", SEEING)
def test_each_query_contributes_the_same_whoever_else_is_asked(name: str) -> None:
    x, y = sides("grid")
    some = np.sort(np.random.default_rng(1).permutation(N)[:50])
    whole, part = (ask(name, asked(x, y, queries)) for queries in (np.arange(N), some))
    identity = np.arange(N)
    np.testing.assert_allclose(part.terms(identity), whole.terms(identity)[some], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("what", ["normal", "grid"])
@pytest.mark.parametrize("name", SEEING)
def test_repaired_terms_are_those_of_repaired_rows(name: str, what: str) -> None:
    (x, y), rng = sides(what), np.random.default_rng(2)
    queries = np.sort(rng.permutation(N)[:50])
    answers = ask(name, asked(x, y, queries))
    strata = np.isin(np.arange(N), queries).astype(np.intp)
    strata = strata if answers.strata is None else 2 * strata + answers.strata
    partner = np.arange(N)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        partner[members] = rng.permutation(members)
    moved = ask(name, asked(x, y[partner], queries))
    found, expected = answers.terms(partner), moved.terms(np.arange(N))
    if name == "cycle_knn_reverse":  # whose terms are in the order of y's rows
        found, expected = np.sort(found, axis=0), np.sort(expected, axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", SEEING)
def test_over_all_choices_of_queries_the_mean_is_that_of_all_rows(name: str) -> None:
    x, y = (side[:9, :3] for side in sides("normal"))
    identity, whole = np.arange(9), ask(name, asked(x, y, np.arange(9), 3))
    means = [
        ask(name, asked(x, y, np.array(queries), 3)).terms(identity).mean(axis=0)
        for queries in combinations(range(9), 2)
    ]
    np.testing.assert_allclose(np.mean(means, axis=0), whole.terms(identity).mean(axis=0), atol=1e-12)


def test_the_estimated_hsic_has_no_bias() -> None:
    rng, n = np.random.default_rng(3), 8
    a, b = rng.normal(size=(2, n, n))
    for kernel in (a, b):
        kernel += kernel.T.copy()
        np.fill_diagonal(kernel, 0)
    terms = np.stack([(a * b.T).sum(axis=1), a.sum(axis=1), b.sum(axis=1), a @ b.sum(axis=1)])
    expected = (n - 3) * unbiased_hsic(a, b)
    assert estimated_hsic(n, *terms) == pytest.approx(expected)
    for q in (2, 3, 7):
        found = [estimated_hsic(n, *terms[:, list(rows)]) for rows in combinations(range(n), q)]
        assert np.mean(found) == pytest.approx(expected)
        assert np.std(found) > 0.01


@pytest.mark.slow
@pytest.mark.usefixtures("few_queries")
@pytest.mark.parametrize("name", ALL)
def test_a_score_of_many_pairs_asks_some_of_all(name: str) -> None:
    metric, (x, y) = METRICS.get(name), sides("normal")
    pair = pair_of(x.astype(np.float32), y.astype(np.float32))
    score = score_pair(metric, pair, Settings(permutations=99), experiment="cka")
    whole = evaluate(
        metric, pair.x.values, pair.y.values if metric.two_sided else None, labels=pair.labels, null=False
    )
    further = metric.queried is not None and metric.queried.further
    assert (score.n, score.params["queries"]) == (N, 60 if further else 80)
    assert "queried" in score.flags
    assert "subsampled" not in score.flags
    assert score.interval is not None
    assert score.value != whole.value
    assert score.value is not None
    error = (score.interval.high - score.interval.low) / 4
    assert abs(score.value - whole.value) < 3 * error
    assert score.interval.method == f"delete-block jackknife over queries, G={60 if further else 80}"
    assert score.chance == whole.chance
    if metric.pairing:
        assert score.null is not None
        assert score.null.p == score.null.within_p == 1 / 100
        drawn = evaluate(metric, x, y, n_permutations=99, interval=False).null
        assert drawn is not None
        assert score.null.mean == pytest.approx(drawn.mean, abs=0.02)
    else:
        assert score.null is None
    assert score_pair(metric, pair, Settings(permutations=99), experiment="cka") == score


@pytest.mark.usefixtures("few_queries")
def test_every_query_is_somebodys_in_each_permutation() -> None:
    different = []

    def recorded(of: Asked) -> Answers:
        def terms(partner: Indices) -> Matrix:
            different.append(len(np.intersect1d(partner[of.queries], of.queries)))
            return np.zeros((len(of.queries), 1))

        return Answers(terms)

    metric = replace(METRICS.get("mutual_knn"), name="recorded", queried=Queried(recorded))
    pair = pair_of(*(side.astype(np.float32) for side in sides("normal")))
    score_pair(metric, pair, Settings(permutations=20), experiment="cka")
    assert different == [80] * (1 + 20 + 20)  # of the value, of permutations, and of those within classes


@pytest.mark.slow
@pytest.mark.usefixtures("few_queries")
@pytest.mark.parametrize("name", ["mutual_knn", "cycle_knn", "cknna"])
def test_the_null_of_unrelated_sides_is_met_as_often_as_it_says(name: str) -> None:
    metric, rng = METRICS.get(name), np.random.default_rng(0)
    ps = []
    for _ in range(40):
        x, y = rng.standard_normal((2, 100, 3), dtype=np.float32)
        null = score_pair(metric, pair_of(x, y), Settings(permutations=49), experiment="cka").null
        assert null is not None
        assert null.p is not None
        ps.append(null.p)
    assert 0.35 < np.mean(ps) < 0.65
    assert np.mean(np.asarray(ps) <= 0.1) < 0.25


@pytest.mark.usefixtures("few_queries")
def test_rows_of_one_side_are_asked_whatever_their_groups_are() -> None:
    metric = METRICS.get("knn_accuracy")
    x, y = (side.astype(np.float32) for side in sides("normal"))
    pair = replace(pair_of(x, y), groups=tuple(str(max(i - 99, 0)) for i in range(N)))
    keep: Callable[..., Known] = lambda side, how, k, compute: compute()  # noqa: E731
    found = evaluate_queried(metric, pair, 42, keep, labelled=True)
    assert found.params == {"queries": 80}
    assert found.n == 141
    assert found.null is None
    assert found.interval is not None
    assert len(found.deletions) < 80  # the rows of one group are left out together


def test_a_side_whose_queries_have_no_mutual_neighbours_has_no_norm() -> None:
    x, y = sides("normal")
    answers = ask("cknna", asked(x, y, np.arange(20)))
    terms = answers.terms(np.arange(N))
    terms[:, 7] = 0
    with pytest.raises(DegenerateError, match="HSIC of y's neighbourhoods"):
        answers.score(terms)


@pytest.mark.usefixtures("few_queries")
def test_the_plan_says_who_is_asked() -> None:
    metrics = [METRICS.get(name) for name in ("mutual_knn", "cknna", "lcs_knn", "calibrated_cknna")]
    assert plan_of(metrics, 80) == []
    assert plan_of(metrics, 3000) == [
        "of 80 groups among all 3,000 (flag queried): mutual_knn, lcs_knn",
        "of 60 groups among all 3,000 (flag queried): cknna",
    ]
