"""Layouts in two dimensions: judged by their definitions, the same every time, in silence."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.errors import DegenerateError, InputError, TooFewSamplesError
from alignbench.experiments.embedding.neighborhoods import (
    MEASURES,
    Neighborhood,
    chance,
    neighbors_for,
    preserved,
)
from alignbench.experiments.embedding.space import MOST_GROUPS, drawn_groups, embedding_space
from alignbench.experiments.layouts import Reach, layout
from alignbench.experiments.scoring import Settings
from alignbench.metrics.basis import Principal
from alignbench.stats import draw_permutations
from alignbench.tests.space_fakes import make_side

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

METHODS = ("tsne", "umap", "pca")
RNG = np.random.default_rng(7)
X = RNG.normal(size=(40, 6))
PLANE = np.column_stack([X[:, 0] + 0.5 * RNG.normal(size=40), X[:, 1]])


def trustworthiness(x: Matrix, layout: Matrix, k: int) -> float:
    return float(MEASURES["trustworthiness"](Neighborhood.of(x), Neighborhood.of(layout), k).mean())


def continuity(x: Matrix, layout: Matrix, k: int) -> float:
    return float(MEASURES["continuity"](Neighborhood.of(x), Neighborhood.of(layout), k).mean())


def naive_rank(x: Matrix, i: int, j: int) -> int:
    """Return the place of j among the others by distance from i, from 1."""
    others = [m for m in range(len(x)) if m != i]
    others.sort(key=lambda m: (float(((x[i] - x[m]) ** 2).sum()), m))
    return others.index(j) + 1


def naive_neighbors(x: Matrix, i: int, k: int) -> set[int]:
    return {j for j in range(len(x)) if j != i and naive_rank(x, i, j) <= k}


def naive_trustworthiness(x: Matrix, y: Matrix, k: int) -> float:
    """Venna and Kaski, eq. 1: those in U_k(i), near in the picture and not in the space."""
    n, total = len(x), 0
    for i in range(n):
        for j in naive_neighbors(y, i, k) - naive_neighbors(x, i, k):
            total += naive_rank(x, i, j) - k
    return 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * total


def naive_continuity(x: Matrix, y: Matrix, k: int) -> float:
    """Venna and Kaski, eq. 2: those in V_k(i), near in the space and not in the picture."""
    n, total = len(x), 0
    for i in range(n):
        for j in naive_neighbors(x, i, k) - naive_neighbors(y, i, k):
            total += naive_rank(y, i, j) - k
    return 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * total


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 3, 5, 12, 19])
def test_both_measures_agree_with_their_definitions(k: int) -> None:
    assert trustworthiness(X, PLANE, k) == pytest.approx(naive_trustworthiness(X, PLANE, k), abs=1e-12)
    assert continuity(X, PLANE, k) == pytest.approx(naive_continuity(X, PLANE, k), abs=1e-12)
    assert trustworthiness(X, PLANE, k) != pytest.approx(continuity(X, PLANE, k), abs=1e-4)


def test_duplicates_are_ranked_by_row() -> None:
    x = np.repeat(X[:8], 3, axis=0)
    y = np.repeat(PLANE[:8], 3, axis=0)[::-1].copy()
    assert trustworthiness(x, y, 4) == pytest.approx(naive_trustworthiness(x, y, 4), abs=1e-12)
    assert continuity(x, y, 4) == pytest.approx(naive_continuity(x, y, 4), abs=1e-12)


def test_trustworthiness_agrees_with_scikit_learn() -> None:
    from sklearn.manifold import trustworthiness as theirs

    assert trustworthiness(X, PLANE, 5) == pytest.approx(theirs(X, PLANE, n_neighbors=5), abs=1e-12)
    assert continuity(X, PLANE, 5) == pytest.approx(theirs(PLANE, X, n_neighbors=5), abs=1e-12)


def test_a_rotated_copy_keeps_everything_and_the_farthest_as_neighbours_nothing() -> None:
    rotation = np.linalg.qr(RNG.normal(size=(2, 2)))[0]
    assert trustworthiness(PLANE, 3 * PLANE @ rotation + 1, 5) == 1.0
    space = Neighborhood.of(PLANE)
    farthest = space.order[:, -5:]
    assert preserved(space.ranks, farthest) == pytest.approx(np.zeros(40), abs=1e-12)


def test_chance_is_the_mean_over_random_layouts() -> None:
    space, picture = Neighborhood.of(X), Neighborhood.of(PLANE)
    permutations = draw_permutations(40, 2000, np.random.default_rng(0))
    drawn = [preserved(space.ranks, picture.permuted(p).order[:, 1:6]).mean() for p in permutations]
    error = np.std(drawn) / np.sqrt(len(drawn))
    assert abs(float(np.mean(drawn)) - chance(40, 5)) < 4 * error


def test_a_permuted_neighborhood_is_that_of_the_permuted_rows() -> None:
    p = np.random.default_rng(1).permutation(40)
    permuted, direct = Neighborhood.of(PLANE).permuted(p), Neighborhood.of(PLANE[p])
    assert (permuted.order == direct.order).all()
    assert (permuted.ranks == direct.ranks).all()


@pytest.mark.parametrize(("n", "k"), [(3, 1), (9, 4), (11, 5), (500, 5)])
def test_few_samples_have_fewer_neighbours(n: int, k: int) -> None:
    assert neighbors_for(n) == k
    assert k < n / 2


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_layout_is_the_same_whatever_the_threads_and_what_ran_before(method: str) -> None:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        first = layout(X, method, 3)
    np.random.seed(0)  # noqa: NPY002  a library that draws from the global state would show
    with threadpool_limits(2):
        again = layout(X.copy(), method, 3)
    assert (first.points == again.points).all()


@pytest.mark.parametrize(
    ("method", "drawn"), [("tsne", False), pytest.param("umap", True, marks=pytest.mark.slow), ("pca", False)]
)
def test_the_seed_shapes_what_is_drawn(method: str, drawn: bool) -> None:
    # t-SNE starts from the principal components and draws nothing more
    assert (layout(X, method, 3).points != layout(X, method, 2**40).points).any() == drawn


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [10, 11, 16])
def test_few_rows_have_a_layout(method: str, n: int) -> None:
    found = layout(X[:n], method)
    assert found.points.shape == (n, 2)
    assert found.params.get("perplexity", 1.0) <= (n - 1) / 3
    assert found.params.get("n_neighbors", 2) < n


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "x", [np.repeat(X[:2], 10, axis=0), X[:20, :1], np.eye(12), X * 1e-30, X.astype(np.float16)],
    ids=["two-points", "one-column", "equal-distances", "tiny", "half"],
)  # fmt: skip
def test_odd_rows_have_a_layout_in_silence(
    method: str, x: Matrix, recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]
) -> None:
    assert np.isfinite(layout(x, method).points).all()
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("method", METHODS)
def test_rows_without_a_layout_are_refused(method: str) -> None:
    with pytest.raises(TooFewSamplesError, match="at least 10 rows, got 9"):
        layout(X[:9], method)
    with pytest.raises(DegenerateError, match="zero variance"):
        layout(np.ones((20, 4)), method)
    with pytest.raises(InputError, match="NaN"):
        layout(np.full((20, 4), np.nan), method)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "reach", "params"),
    [
        ("tsne", Reach(), {"perplexity": 13.0}),
        ("tsne", Reach(perplexity=39), {"perplexity": 39.0}),
        ("tsne", Reach(perplexity=1.5), {"perplexity": 1.5}),
        ("umap", Reach(), {"n_neighbors": 15}),
        ("umap", Reach(neighbors=2), {"n_neighbors": 2}),
        ("umap", Reach(neighbors=39), {"n_neighbors": 39}),
    ],
)
def test_neighbours_are_those_asked_for(method: str, reach: Reach, params: dict[str, float]) -> None:
    found = layout(X, method, reach=reach)
    assert {name: found.params[name] for name in params} == params
    usual = layout(X, method)
    assert (found.points == usual.points).all() == (reach == Reach())
    space = embedding_space(make_side(40), method, Settings(), experiment="embedding", reach=reach)
    assert {name: space.scores[0].params[name] for name in params} == params


def test_neighbours_that_can_t_be_are_refused_and_none_are_taken_instead() -> None:
    for wrong in (0.5, float("nan"), float("inf"), -3):
        with pytest.raises(InputError, match="perplexity: expected a number from 1 on"):
            Reach(perplexity=wrong)
    with pytest.raises(InputError, match="neighbors: expected at least 2, got 1"):
        Reach(neighbors=1)
    with pytest.raises(TooFewSamplesError, match=r"perplexity: 40 neighbours need more samples .* got 40"):
        layout(X, "tsne", reach=Reach(perplexity=40))
    with pytest.raises(TooFewSamplesError, match="neighbors: 40 neighbours need more samples"):
        layout(X, "umap", reach=Reach(neighbors=40))
    assert layout(X, "pca", reach=Reach(40, 40)).points.shape == (40, 2)
    space = embedding_space(
        make_side(40), "tsne", Settings(), experiment="embedding", reach=Reach(perplexity=50)
    )
    assert {score.status for score in space.scores} == {"not_applicable"}
    assert "give a smaller number or more samples" in str(space.scores[0].reason)


def test_an_unknown_method_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError, match="expected one of tsne, umap, pca, got 'mds'"):
        layout(X, "mds")


def test_principal_components_do_not_depend_on_the_sign_of_an_eigenvector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points, fit = layout(X, "pca").points, Principal.fit
    monkeypatch.setattr(Principal, "fit", lambda *args: replace(fit(*args), axes=-fit(*args).axes))
    assert layout(X, "pca").points == pytest.approx(points, abs=1e-12)


def test_libraries_get_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    import sklearn.manifold
    from threadpoolctl import threadpool_info

    seen: list[int] = []

    class Spy(sklearn.manifold.TSNE):  # type: ignore[misc]
        def fit_transform(self, x: Any) -> Any:
            seen.extend(pool["num_threads"] for pool in threadpool_info())
            return super().fit_transform(x)

    monkeypatch.setattr(sklearn.manifold, "TSNE", Spy)
    layout(X, "tsne")
    assert seen
    assert set(seen) == {1}


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_score_says_what_it_takes_to_judge_it(method: str) -> None:
    space = embedding_space(make_side(60, clustered=True), method, Settings(seed=1), experiment="embedding")
    assert [s.metric for s in space.scores] == ["trustworthiness", "continuity"]
    for score in space.scores:
        assert (score.experiment, score.variant, score.encoder, score.llm) == (
            "embedding",
            method,
            "toy",
            None,
        )
        assert score.value is not None
        assert score.null is not None
        assert score.interval is not None
        assert score.null.mean == pytest.approx(score.chance, abs=0.03)
        assert score.null.p == 1 / 200
        assert score.interval.low < score.value <= score.interval.high <= 1
        assert len(score.deletions) == 60
        assert score.params["n_neighbors_scored"] == 5
        assert not score.flags


def test_arrays_name_each_point() -> None:
    side = make_side(30)
    arrays: Any = embedding_space(side, "pca", Settings(), experiment="embedding").arrays
    assert arrays["points"].shape == (30, 2)
    assert list(arrays["ids"]) == list(side.x.ids)
    assert list(arrays["labels"]) == list(side.labels)
    assert (str(arrays["name"]), str(arrays["method"])) == ("toy", "pca")


def test_a_picture_of_noise_shows_no_neighbours_beyond_itself() -> None:
    # 200 directions of noise have no plane: PCA keeps a little, and far less than of a plane
    side = make_side(80, width=200)
    value = embedding_space(side, "pca", Settings(), experiment="embedding").scores[0].value
    plane = make_side(80, width=2)
    kept = embedding_space(plane, "pca", Settings(), experiment="embedding").scores[0].value
    assert value is not None
    assert value < 0.75
    assert kept == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_side_is_not_applicable_with_the_reason(method: str) -> None:
    space = embedding_space(make_side(30, constant=True), method, Settings(), experiment="embedding")
    assert space.arrays is None
    assert {s.status for s in space.scores} == {"not_applicable"}
    assert all("zero variance" in str(s.reason) for s in space.scores)


def test_few_groups_have_no_interval_and_say_so() -> None:
    [score, _] = embedding_space(make_side(12), "pca", Settings(), experiment="embedding").scores
    assert score.interval is None
    assert score.flags == ("n_too_small",)


def test_no_permutations_asked_for_gives_no_p() -> None:
    [score, _] = embedding_space(
        make_side(30), "pca", Settings(permutations=0), experiment="embedding"
    ).scores
    assert score.null is None


def test_one_sample_of_each_group_is_laid_out() -> None:
    side = make_side(40, groups=[f"g{i // 2}" for i in range(40)])
    space = embedding_space(side, "pca", Settings(), experiment="embedding")
    assert {s.n for s in space.scores} == {20}
    assert space.arrays is not None
    assert len(space.arrays["points"]) == 20


def test_many_groups_are_cut_the_same_for_every_model() -> None:
    n = MOST_GROUPS + 50
    own, cut = drawn_groups(make_side(n, width=2), 5)
    other, _ = drawn_groups(make_side(n, width=3), 5)
    assert cut
    assert len(own) == MOST_GROUPS
    assert own.x.ids == other.x.ids
    assert list(own.x.ids) == sorted(own.x.ids)


def test_what_libraries_warn_of_stays_with_us() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layout(X[:12], "umap")
        layout(X[:12], "tsne")
