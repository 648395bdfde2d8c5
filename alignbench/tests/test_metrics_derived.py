"""What metrics derive from the same arrays: computed once, within a bound, and never of other numbers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from alignbench.experiments.scoring import Settings, score_pair
from alignbench.metrics import METRICS
from alignbench.metrics.basis import SharedBasis, fitted_halves
from alignbench.metrics.checks import standardized
from alignbench.metrics.derived import LIMIT, Derived, derived, keeping, watching
from alignbench.metrics.neighbors import mutual_knn
from alignbench.metrics.permuted_symmetric import symmetric_side
from alignbench.metrics.repaired import Repaired
from alignbench.metrics.turns import Turns
from alignbench.stats import draw_within, evaluate
from alignbench.tests.traced import peak
from alignbench.workshop.measure._many_pairs import pair_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]


def side(seed: int = 0, n: int = 40, d: int = 5) -> Matrix:
    return np.random.default_rng(seed).standard_normal((n, d))


class Counted:
    """A sum of columns that counts how often it is computed."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Matrix) -> Matrix:
        return derived("sum", x, lambda: self._sum(x))

    def _sum(self, x: Matrix) -> Matrix:
        self.calls += 1
        total: Matrix = x.sum(axis=0)
        return total


def test_a_result_is_computed_once_for_equal_numbers() -> None:
    count, x = Counted(), side()
    with keeping(Derived()):
        for array in (x, x.copy(), np.asfortranarray(x)):
            with watching(array):
                assert np.array_equal(count(array), x.sum(axis=0))
                count(array)
    assert count.calls == 1


def test_without_a_context_everything_is_computed() -> None:
    count, x = Counted(), side()
    count(x)
    with keeping(Derived()):
        count(x)
        with watching(side(1)):
            count(x)
    assert count.calls == 3


def test_a_changed_array_gets_its_own_result() -> None:
    count, x = Counted(), side()
    with keeping(Derived()):
        with watching(x):
            count(x)
            x[0, 0] += 1
            assert np.array_equal(count(x), x.sum(axis=0))
            x[0, 0] -= 1
            count(x)
        x[0, 0] += 2
        with watching(x):
            assert np.array_equal(count(x), x.sum(axis=0))


def test_arrays_that_are_not_numbers_are_computed_each_time() -> None:
    count, x = Counted(), side()
    x[0, 0] = np.nan
    with watching(x):
        count(x)
        count(x)
    assert count.calls == 2


def test_results_of_results_are_kept_and_read_only() -> None:
    x = side()
    calls: list[str] = []

    def twice(of: Matrix) -> Matrix:
        calls.append("twice")
        return 2 * of

    with watching(x):
        for _ in range(2):
            once = derived("twice", x, lambda: twice(x))
            again = derived("twice", once, lambda of=once: twice(of))  # type: ignore[misc]
            assert np.array_equal(again, 4 * x)
        with pytest.raises(ValueError, match="read-only"):
            again += 1
    assert calls == ["twice", "twice"]
    x += 1  # what was passed in stays as it was


def test_a_result_that_is_that_of_another_name_is_kept_once() -> None:
    x, store = side(), Derived()
    with keeping(store), watching(x):
        for _ in range(2):
            inner = derived("inner", x, lambda: x @ x.T)
            assert derived("outer", x, lambda of=inner: of) is inner  # type: ignore[misc]
    assert store.nbytes < 2 * inner.nbytes + x.nbytes


def test_sums_of_large_arrays_outlast_them() -> None:
    x = side(n=50)
    with keeping(Derived(limit=100_000)), watching(x):
        product = derived("product", x, lambda: x @ x.T)
        sums = derived("sums", product, lambda: product.sum(axis=0))
        for number in range(10):
            derived(number, x, lambda: np.ones((50, 50)))
        again = derived("product", x, lambda: x @ x.T)
        assert again is not product
        assert derived("sums", again, lambda: product.sum(axis=0)) is sums


def test_small_results_make_room_once_there_are_many() -> None:
    store, many, other = Derived(limit=100_000), side(0, 50), side(1, 50)
    with keeping(store):
        with watching(many):
            for number in range(2_000):
                derived(number, many, lambda: np.ones(1))
        with watching(other):
            product = derived("product", other, lambda: other @ other.T)
            assert derived("product", other, lambda: other @ other.T) is product
    assert store.nbytes <= 100_000


def test_a_side_that_is_returned_as_it_is_stays_writable() -> None:
    x = side()
    with watching(x):
        assert derived("itself", x, lambda: x) is x
        x += 1


def test_the_bound_holds_and_what_was_dropped_is_computed_again() -> None:
    x = side(n=100, d=10)
    store = Derived(limit=10 * x.nbytes)
    with keeping(store), watching(x):
        for number in range(30):
            first = derived(("plus", number), x, lambda number=number: x + number)  # type: ignore[misc]
            assert np.array_equal(derived("less", first, lambda of=first: of - 1), first - 1)  # type: ignore[misc]
            assert store.nbytes <= 10 * x.nbytes
        assert np.array_equal(derived(("plus", 0), x, lambda: x + 0), x)
        large = derived("large", x, lambda: np.zeros(6 * x.size))
        large += 1  # it would take more than a quarter of the bound, and is not kept
        assert store.nbytes > 5 * x.nbytes
    store.clear()
    assert store.nbytes == 0


def test_another_side_in_the_place_of_a_dropped_one_has_results_of_its_own() -> None:
    store = Derived(limit=5 * side().nbytes)
    with keeping(store):
        for seed in range(20):
            x = side(seed)
            with watching(x):
                assert np.array_equal(derived("negative", x, lambda x=x: -x), -x)  # type: ignore[misc]


def test_nested_contexts_of_one_array_end_one_by_one() -> None:
    count, x = Counted(), side()
    with keeping(Derived()), watching(x):
        with watching(x):
            count(x)
        count(x)
    assert count.calls == 1


def test_another_thread_has_no_part_in_it() -> None:
    count, x = Counted(), side()
    with watching(x):
        count(x)
        other = threading.Thread(target=count, args=(x,))
        other.start()
        other.join()
    assert count.calls == 2


def scores(names: list[str], n: int, d: int) -> dict[str, Any]:
    pair = pair_of(side(0, n, d).astype(np.float32), side(1, n, d).astype(np.float32))
    return {
        name: score_pair(METRICS.get(name), pair, Settings(), experiment="test").to_dict() for name in names
    }


def test_the_ckas_of_a_pair_centre_each_side_once() -> None:
    with patch("alignbench.metrics.kernels.standardized", wraps=standardized) as centre:
        scores(["linear_cka", "calibrated_cka", "debiased_cka"], 61, 7)
    assert [call.args[1] for call in centre.call_args_list] == ["x", "y"]


def test_where_memory_is_short_what_is_kept_of_other_scores_goes_first() -> None:
    scores(["linear_cka"], 62, 7)
    with (
        patch("alignbench.experiments.scoring.check_room", side_effect=[MemoryError, None]),
        patch("alignbench.metrics.kernels.standardized", wraps=standardized) as centre,
    ):
        found = scores(["debiased_cka"], 62, 7)
    assert found["debiased_cka"]["value"] is not None
    assert centre.call_count == 2
    with patch("alignbench.experiments.scoring.check_room", side_effect=[MemoryError, MemoryError("full")]):
        found = scores(["linear_cka"], 62, 7)
    assert found["linear_cka"]["value"] is None
    assert "out of memory: full" in found["linear_cka"]["reason"]


@pytest.mark.slow
def test_the_sums_of_a_closed_form_are_taken_once_a_side() -> None:
    with patch("alignbench.metrics.permuted.symmetric_side", wraps=symmetric_side) as sums:
        scores(["linear_cka", "calibrated_cka"], 302, 6)
    assert sorted(call.args[1] is None for call in sums.call_args_list) == [False, False, True, True]


@pytest.mark.slow
def test_ridge_decomposes_each_fold_once_for_all_draws() -> None:
    n, folds = 310, 5 * (3 + 1)
    y = side(1, n, 5)
    with patch("numpy.linalg.eigh", wraps=np.linalg.eigh) as decompose:
        found = evaluate(
            METRICS.get("ridge_r2"), y + side(2, n, 5), y, labels=["a", "b"] * (n // 2), interval=False
        )
    assert found.null is not None
    assert found.null.within_kind == "drawn_sequential"
    assert found.null.draws == 199  # in several parts
    assert decompose.call_count == folds  # of the value, and of the outer folds of all draws


@pytest.mark.slow
def test_the_composites_of_many_pairs_fit_one_basis_for_each_permutation() -> None:
    fits, draws = [], []
    for name in ("eas", "eas_adjusted"):
        with (
            patch.object(SharedBasis, "join", wraps=SharedBasis.join) as join,
            patch.object(Turns, "products", autospec=True, side_effect=Turns.products) as turned,
            patch.object(Repaired, "linear_cka", autospec=True, side_effect=Repaired.linear_cka) as ckas,
        ):
            scores([name], 310, 11)
        fits.append(join.call_count + sum(len(call.args[1]) for call in turned.call_args_list))
        draws.append(sum(len(call.args[1]) for call in ckas.call_args_list))
    blocks = 10  # of the interval
    assert fits[0] > blocks + 2 * 25
    assert draws[0] >= 2 * 25
    # What is near the value is drawn again in float64, of each composite alone.
    assert fits[1] < 10
    assert draws[1] < 10


@pytest.mark.slow
@pytest.mark.parametrize("room", [LIMIT, 200_000], ids=["room", "no room for a basis"])
def test_coral_and_its_kin_share_the_bases_of_shuffled_pairs(room: int) -> None:
    with (
        patch("alignbench.experiments.scoring._DERIVED", Derived(room)),
        patch.object(SharedBasis, "join", wraps=SharedBasis.join) as join,
    ):
        found = scores(["coral_distance", "ncoral", "mean_distance", "ncoral_lw"], 310, 12)
    assert [score["null"]["draws"] for score in found.values()] == [49] * 4
    # Of the values, of shuffled pairs, and of the intervals' blocks.
    assert 1 <= join.call_count - (49 + 10) <= (1 if room == LIMIT else 4)


def permuted_within(x: Matrix, y: Matrix, draws: int, k: int) -> NDArray[np.intp]:
    train, rng = fitted_halves(x, y, k=k).train, np.random.default_rng(0)
    return np.asarray([draw_within(train.astype(np.intp), 1, rng)[0] for _ in range(draws)])


def test_shuffled_pairs_take_no_memory_of_their_number() -> None:
    n, d = 1500, 60
    x, y = side(0, n, d), side(1, n, d)
    permutations, null = permuted_within(x, y, 50, d), METRICS.get("ncoral").null
    assert null is not None
    draw = null.draw
    assert draw is not None
    assert peak(lambda: draw(x, y, permutations, align="procrustes", k=d)) < 50 * 2 * (n // 2) * d * 8 / 2


@pytest.mark.slow
@pytest.mark.parametrize("n", [45, 310])
def test_scores_are_the_same_alone_and_after_all_others(n: int) -> None:
    names = [name for name in METRICS if n < 300 or METRICS.get(name).family in ("cka", "neighbors", "shape")]
    together = scores(names, n, 6)
    labels = [("chart", "document", "table")[row // 7 % 3] for row in range(n)]
    for name in names:
        metric = METRICS.get(name)
        x, y = (side(seed, n, 6).astype(np.float32) for seed in range(2))
        with threadpool_limits(1, user_api="blas"):  # as a run computes small pairs; it shapes the last digit
            alone = evaluate(
                metric,
                x,
                y if metric.two_sided else None,
                labels=labels,
                groups=[str(row) for row in range(n)],
                params={"align": "procrustes", "k": min(6, n // 10)} if metric.prepare else None,
            )
        assert together[name]["value"] == alone.value, name
        assert together[name]["deletions"] == list(alone.deletions), name
        null = None if alone.null is None else (alone.null.p, alone.null.mean, alone.null.within_p)
        found = together[name]["null"]
        assert null == (None if found is None else (found["p"], found["mean"], found["within_p"])), name


def test_a_metric_outside_of_a_run_shares_nothing() -> None:
    x, y = side(), side(1)
    first = mutual_knn(x, y)
    x[:] = side(2)
    assert mutual_knn(x, y) != first
