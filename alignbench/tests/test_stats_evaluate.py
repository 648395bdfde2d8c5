"""evaluate(): the same whatever came before, shared blocks for all models, nulls and intervals that hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.errors import InputError, TooFewSamplesError
from alignbench.metrics import METRICS, Metric, debiased_cka, linear_cka, mutual_knn, ridge_r2
from alignbench.stats import Evaluation, evaluate
from alignbench.types import Score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

N = 45
LABELS = np.repeat(["chart", "document", "table"], N // 3)


def data(seed: int = 0, n: int = N, shared: float = 1.0) -> tuple[Matrix, Matrix]:
    """Return n pairs that share 4 dimensions: samples of one population, whatever the seed."""
    rng, population = np.random.default_rng(seed), np.random.default_rng(99)
    common = rng.normal(size=(n, 4))
    x = shared * common @ population.normal(size=(4, 12)) + rng.normal(size=(n, 12))
    return x, shared * common @ population.normal(size=(4, 16)) + rng.normal(size=(n, 16))


def run(name: str, x: Matrix, y: Matrix, **given: Any) -> Evaluation:
    metric = METRICS.get(name)
    options: dict[str, Any] = {"labels": LABELS[: len(x)], "n_permutations": 49, **given}
    return evaluate(metric, x, y if metric.two_sided else None, **options)


@pytest.fixture(scope="module")
def evaluations() -> dict[str, Evaluation]:
    return {name: run(name, *data()) for name in METRICS.names()}


@pytest.mark.parametrize("name", METRICS.names())
def test_the_value_is_the_metric_and_the_rest_is_finite(
    name: str, evaluations: dict[str, Evaluation]
) -> None:
    result = evaluations[name]
    assert np.isfinite(result.value)
    assert result.n == N
    assert result.interval is not None
    assert result.interval.low <= result.value <= result.interval.high
    assert all(np.isfinite(result.deletions))
    assert (result.null is not None and result.null.p is not None) == METRICS.get(name).pairing
    score = Score(
        "test", name, result.value, "e", "l", "d@0", result.n, (12, 16),
        null=result.null, interval=result.interval, deletions=result.deletions,
        chance=result.chance, flags=result.flags, params=result.params,
    )  # fmt: skip
    assert Score.from_dict(score.to_dict()).to_dict() == score.to_dict()


@pytest.mark.parametrize(
    "name", ["linear_cka", "mutual_knn", "ridge_r2", "ncoral", "knn_accuracy", "eas_adjusted"]
)
def test_the_order_of_evaluations_does_not_matter(name: str, evaluations: dict[str, Evaluation]) -> None:
    np.random.default_rng().normal(size=10)
    assert run(name, *data()) == evaluations[name]


@pytest.mark.parametrize("name", METRICS.names())
def test_the_order_of_rows_does_not_matter(name: str) -> None:
    x, y = data()
    order = np.random.default_rng(1).permutation(N)
    groups = np.asarray([f"g{i}" for i in range(N)])
    a = run(name, x, y, groups=groups, n_permutations=0)
    b = run(name, x[order], y[order], groups=groups[order], labels=LABELS[order], n_permutations=0)
    assert b.value == pytest.approx(a.value, rel=1e-9, abs=1e-12)
    assert b.deletions == pytest.approx(a.deletions, rel=1e-9, abs=1e-12)


def test_seeds_change_what_is_drawn_and_only_that() -> None:
    x, y = data()
    a, b = run("mutual_knn", x, y, seed=1), run("mutual_knn", x, y, seed=2)
    assert a.value == b.value
    assert a.null is not None
    assert b.null is not None
    assert a.null.std != b.null.std
    assert sorted(a.deletions) != sorted(b.deletions)


def test_the_first_deletion_is_of_the_same_rows_for_every_model() -> None:
    x, y = data()
    x_other, _ = data(5)
    groups = np.arange(N).astype(str)
    left_out = []
    for side in (x, x_other):
        deletions = run("linear_cka", side, y, groups=groups).deletions
        single = [linear_cka(np.delete(side, i, axis=0), np.delete(y, i, axis=0)) for i in range(N)]
        left_out.append(int(np.argmin(np.abs(np.asarray(single) - deletions[0]))))
        assert sorted(deletions) == pytest.approx(sorted(single), abs=1e-12)
    assert left_out[0] == left_out[1]


def test_neighbours_and_basis_keep_their_size_when_blocks_are_left_out() -> None:
    x, y = data(n=31)
    seen: list[int] = []

    def spying(x: Matrix, y: Matrix, *, k: int) -> float:
        seen.append(k)
        return mutual_knn(x, y, k=k)

    declared = METRICS.get("mutual_knn")
    spy = Metric("spy", spying, bounds=(0, 1), settings=declared.settings, interval="blocks")
    result = evaluate(spy, x, y)
    assert set(seen) == {10} == {result.params["k"]}
    assert len(seen) == 11
    assert run("ncoral", x, y).params == {"align": "procrustes", "k": 3}


def test_several_rows_of_a_group_count_once() -> None:
    x, y = data()
    groups = np.repeat(np.arange(N // 3), 3)
    result = run("linear_cka", x, y, groups=groups, labels=None)
    assert result.n == N // 3
    assert "n_too_small" in result.flags
    assert result.value != linear_cka(x, y)
    assert result == run("linear_cka", x, y, groups=groups, labels=None)


def test_metrics_of_one_side_keep_all_rows() -> None:
    x, _ = data()
    groups = np.repeat(np.arange(N // 3), 3)
    metric = METRICS.get("discriminability")
    assert evaluate(metric, x, labels=LABELS, groups=groups).value == metric(x, LABELS)


def test_wordings_of_one_image_do_not_make_independent_data_significant() -> None:
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(20), 3)
    x = rng.normal(size=(20, 8))[groups] + 0.01 * rng.normal(size=(60, 8))
    y = rng.normal(size=(20, 8))[groups] + 0.01 * rng.normal(size=(60, 8))
    result = run("linear_cka", x, y, groups=groups, labels=None, n_permutations=199)
    assert result.null is not None
    assert result.null.p is not None
    assert result.null.p > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("name", METRICS.names(kind="pair", pairing=True))
def test_aligned_pairs_are_found_and_shuffled_ones_are_not(name: str) -> None:
    x, y = data()
    other = y[np.random.default_rng(9).permutation(N)]
    # With 10 of 44 neighbours nearly every row comes back; 49 draws tell p = .04 from .10 badly.
    given: dict[str, Any] = {"params": {"k": 3}} if name.startswith("cycle") else {}
    given |= {"n_permutations": 199} if name == "svcca_heldout" else {}
    aligned, shuffled = run(name, x, y, **given), run(name, x, other, **given)
    assert aligned.null is not None
    assert shuffled.null is not None
    assert aligned.null.p is not None
    assert shuffled.null.p is not None
    assert aligned.null.p <= 0.04 < shuffled.null.p


def test_alignment_by_type_alone_vanishes_within_classes() -> None:
    rng = np.random.default_rng(2)
    codes = np.repeat(np.arange(3), N // 3)
    x = 5 * rng.normal(size=(3, 6))[codes] + rng.normal(size=(N, 6))
    y = 5 * rng.normal(size=(3, 6))[codes] + rng.normal(size=(N, 6))
    null = run("linear_cka", x, y, n_permutations=199).null
    assert null is not None
    assert null.p is not None
    assert null.within_p is not None
    assert null.within_mean is not None
    assert null.p == 1 / 200
    assert null.within_p > 0.05
    assert null.within_mean == pytest.approx(run("linear_cka", x, y).value, abs=0.02)


@pytest.mark.parametrize("labels", [None, np.zeros(N), np.arange(N)], ids=["none", "one class", "singletons"])
def test_without_classes_to_permute_inside_there_is_no_within_p(labels: Any) -> None:
    null = run("linear_cka", *data(), labels=labels).null
    assert null is not None
    assert null.within_p is None


def test_permutations_above_the_limit_take_a_recorded_subset() -> None:
    x, y = data(n=510)
    result = run("rsa", x, y, labels=None, n_permutations=9, interval=False)
    assert result.null is not None
    assert result.null.kind.startswith("permutation of 500 of 510 groups")
    assert result.null.p == 0.1


def test_the_map_of_a_shared_basis_shows_what_shuffled_pairs_get_but_no_p() -> None:
    null = run("ncoral", *data()).null
    assert null is not None
    assert null.kind == "shuffled pairs"
    assert null.p is None
    assert null.mean is not None
    assert run("ncoral", *data(), params={"align": "pca"}).null is None


def test_flags_say_what_a_reader_has_to_know() -> None:
    x, y = data()
    unit = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y)]
    assert "saturated" in run("coral_similarity", *unit, params={"align": "pca"}).flags
    assert "separate_bases" in run("ncoral", x, y, params={"align": "pca"}).flags
    assert "conservative" in run("mutual_knn", x, y).flags
    assert run("linear_cka", x, y).flags == ()
    small = run("linear_cka", x[:19], y[:19])
    assert small.flags == ("n_too_small",)
    assert small.interval is None
    assert small.deletions == ()


def test_a_composite_carries_its_parts() -> None:
    result = run("eas", *data())
    cka, coral, disc = result.parts.values()
    assert result.value == pytest.approx(0.3 * cka + 0.3 * coral + 0.4 * disc, abs=1e-12)
    assert "saturated" in result.flags  # a procrustes basis has unit trace
    assert "saturated" not in run("eas", *data(), params={"align": "pca"}).flags


def test_third_party_metrics_get_null_and_interval_for_free() -> None:
    def first_axis(x: Matrix, y: Matrix) -> float:
        return float(np.corrcoef(x[:, 0], y[:, 0])[0, 1] ** 2)

    metric = Metric("first_axis", first_axis, pairing=True, bounds=(0, 1), symmetric=True)
    x, _ = data()
    result = evaluate(metric, x, x + 0.1, labels=LABELS, n_permutations=99)
    assert result.null is not None
    assert result.null.p == 0.01
    assert result.null.within_p == 0.01
    assert result.interval is not None


def test_mistakes_are_named() -> None:
    x, y = data()
    with pytest.raises(InputError, match=r"linear_cka: unknown parameter 'k'; it has none"):
        run("linear_cka", x, y, params={"k": 3})
    with pytest.raises(InputError, match=r"labels: expected 45, one per row, got shape \(44,\)"):
        run("linear_cka", x, y, labels=LABELS[:-1])
    with pytest.raises(InputError, match="expected labels"):
        run("eas_adjusted", x, y, labels=None)
    with pytest.raises(InputError, match="takes x and y"):
        evaluate(METRICS.get("linear_cka"), x)
    with pytest.raises(TooFewSamplesError, match="at least 15 groups"):
        ridge_r2(x, y, groups=np.repeat(np.arange(9), 5))


def coverage(n: int, trials: int) -> float:
    """Return how often the jackknife interval of debiased CKA covers its expectation at this n."""
    results = [run("debiased_cka", *data(seed, n), labels=None, null=False) for seed in range(trials)]
    expected = np.mean([debiased_cka(*data(seed, n)) for seed in range(10_000, 10_000 + 20 * trials)])
    intervals = [result.interval for result in results if result.interval is not None]
    return sum(i.low <= expected <= i.high for i in intervals) / trials


@pytest.mark.slow
def test_the_jackknife_interval_covers_the_expected_score() -> None:
    assert 0.88 <= coverage(40, 120) <= 1.0


def test_drawn_p_values_of_independent_data_are_uniform() -> None:
    p_values = []
    for seed in range(150):
        x, y = data(seed, 20, shared=0.0)
        null = run("linear_cka", x, y, labels=None, interval=False, seed=seed).null
        assert null is not None
        p_values.append(null.p)
    assert np.mean(np.asarray(p_values) <= 0.1) == pytest.approx(0.1, abs=0.075)
    assert np.mean(np.asarray(p_values, dtype=float)) == pytest.approx(0.5, abs=0.08)
