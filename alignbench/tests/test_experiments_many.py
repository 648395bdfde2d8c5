"""Runs of many pairs: which scores come from moments, which of a sample, and what is kept for other pairs."""

from __future__ import annotations

import gc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
import pytest

from alignbench import score_arrays
from alignbench.columns import codes_of
from alignbench.errors import DegenerateError
from alignbench.experiments import many
from alignbench.experiments.many import plan_of, subsample
from alignbench.experiments.scoring import Settings, score_pair
from alignbench.metrics import METRICS
from alignbench.metrics.cell_passes import cross_cells, side_cells
from alignbench.metrics.cells import CELLS, cells_of
from alignbench.metrics.samples import PairCells
from alignbench.session.bench import SessionBench
from alignbench.stats import evaluate
from alignbench.stats.permutation import closed_p
from alignbench.tests.streamed_pairs import CLASSES, DX, DY, cells, data, pair_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alignbench.stats.streamed.MANY_ROWS", 1000)
    monkeypatch.setattr("alignbench.experiments.many.SAMPLE_ROWS", 300)
    monkeypatch.setattr("alignbench.experiments.many.WITHIN_ROWS", 400)
    monkeypatch.setattr("alignbench.experiments.many.BLOCKS_ROWS", 400)


@pytest.mark.slow
@pytest.mark.usefixtures("few_are_many")
def test_many_pairs_are_scored_from_moments_or_of_a_sample_that_is_flagged() -> None:
    pair = pair_of(1500)
    scores = {
        name: score_pair(METRICS.get(name), pair, Settings(permutations=9), experiment="cka")
        for name in ("linear_cka", "ncoral", "procrustes_similarity", "rsa", "ridge_r2", "spread")
    }
    assert scores["linear_cka"].params["form"] == scores["ncoral"].params["form"] == "moments"
    assert scores["linear_cka"].value == pytest.approx(
        METRICS.get("linear_cka")(pair.x.values, pair.y.values)
    )
    assert "of 1500 groups" in str(scores["procrustes_similarity"].null)
    for name, size in (("rsa", 300), ("ridge_r2", 400)):
        assert scores[name].n == size
        assert scores[name].params["of_groups"] == 1500
        assert "subsampled" in scores[name].flags
    assert scores["spread"].n == 1500
    few = subsample(pair, 300, 42)
    expected = METRICS.get("rsa")(few.x.values, few.y.values)
    assert scores["rsa"].value == pytest.approx(expected)


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize("name", ["linear_cka", "calibrated_cka", "debiased_cka"])
def test_the_p_within_classes_is_that_of_a_sample_which_the_kind_names(name: str) -> None:
    pair = pair_of(1500)
    null = score_pair(METRICS.get(name), pair, Settings(), experiment="cka").null
    few = subsample(pair, 400, 42)
    assert null is not None
    assert null.kind.endswith("; within classes: 400 of 1500 groups")
    assert null.within_kind == "closed_form"
    metric, codes = METRICS.get(name), codes_of(np.asarray(few.labels))
    assert metric.null is not None
    assert metric.null.moments is not None
    x, y = (side.values.astype(np.float64) for side in (few.x, few.y))
    expected = closed_p(metric(x, y), metric.null.moments(x, y, codes))
    assert null.within_p == pytest.approx(expected, rel=1e-9)
    apart = np.random.default_rng(0)
    rows = np.concatenate(
        [apart.permutation(np.flatnonzero(np.asarray(pair.labels) == one)) for one in CLASSES]
    )
    back = np.concatenate([np.flatnonzero(np.asarray(pair.labels) == one) for one in CLASSES])
    values = np.empty_like(pair.y.values)
    values[back] = pair.y.values[rows]
    shuffled = score_pair(
        METRICS.get(name), replace(pair, y=replace(pair.y, values=values)), Settings(), experiment="cka"
    ).null
    assert shuffled is not None
    assert (shuffled.p or 1) < 1e-3 < 0.01 < (shuffled.within_p or 0)


@pytest.mark.usefixtures("few_are_many")
def test_a_sample_without_a_score_costs_no_more_than_its_p(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise DegenerateError("x: zero variance")

    monkeypatch.setattr(many, "evaluate_within", refuse)
    score = score_pair(METRICS.get("linear_cka"), pair_of(1500), Settings(), experiment="cka")
    assert score.value is not None
    assert score.null is not None
    assert (score.null.within_p, "within" in score.null.kind) == (None, False)
    assert score.null.p is not None


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize("name", ["linear_cka", "calibrated_cka", "debiased_cka"])
def test_where_a_few_rows_decide_only_p_is_that_of_a_sample(name: str) -> None:
    pair, metric = pair_of(1500), METRICS.get(name)
    lengths = 1 + 20 * (np.arange(1500) % 300 == 7)[:, None]
    x, y = (side.values * lengths for side in (pair.x, pair.y))
    long = replace(pair, x=replace(pair.x, values=x), y=replace(pair.y, values=y))
    null = score_pair(metric, long, Settings(), experiment="cka").null
    exact = evaluate(metric, x, y, n_permutations=0, interval=False).null
    assert null is not None
    assert exact is not None
    assert null.kind == "permutation of 500 of 1500 groups, exact mean and std of all"
    assert (null.mean, null.std) == pytest.approx((exact.mean, exact.std), rel=1e-9, abs=1e-12)
    assert null.z == pytest.approx(exact.z, rel=1e-9)


@pytest.mark.usefixtures("few_are_many")
def test_with_many_classes_or_one_there_is_a_smaller_sample_or_none() -> None:
    pair = pair_of(1500)
    many_classes = replace(pair, labels=tuple(f"c{i % 25}" for i in range(1500)))
    null = score_pair(METRICS.get("linear_cka"), many_classes, Settings(), experiment="cka").null
    assert null is not None
    assert "within classes: 500 of 1500 groups" in null.kind
    assert null.within_kind == "drawn_sequential"
    alone = replace(pair, labels=("c",) * 1500)
    null = score_pair(METRICS.get("linear_cka"), alone, Settings(), experiment="cka").null
    assert null is not None
    assert (null.within_p, null.within_kind) == (None, None)
    assert "within" not in null.kind


@pytest.mark.usefixtures("few_are_many")
def test_the_plan_says_what_each_metric_does() -> None:
    metrics = [METRICS.get(name) for name in ("linear_cka", "rsa", "ridge_r2")]
    assert plan_of(metrics, 900) == [
        "of a sample of 300 of 900 groups (flag subsampled): rsa",
        "of a sample of 400 of 900 groups (flag subsampled): ridge_r2",
    ]
    what = "from moments of all 1,500 pairs, in one pass, if no model has over 750 columns"
    assert plan_of(metrics, 1500)[0] == f"{what}: linear_cka"
    assert plan_of(metrics, 100) == []


@pytest.mark.usefixtures("few_are_many")
def test_all_models_come_from_arrays_where_one_of_the_run_is_too_wide_for_moments() -> None:
    pair, forms = pair_of(1500), []
    for dims in ((), (750, 40), (751, 40)):
        score = score_pair(METRICS.get("linear_cka"), pair, Settings(dims=dims), experiment="cka")
        forms.append(score.params.get("form"))
        assert len(score.deletions) == (20 if forms[-1] else 100)
        assert score.n == 1500
        assert not score.flags
    assert forms == ["moments", "moments", None]


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize("k", [None, 5])
@pytest.mark.parametrize(("width", "form"), [(750, "moments"), (751, None)])
def test_a_wide_model_of_a_run_decides_for_the_narrow_ones(
    k: int | None, width: int, form: str | None
) -> None:
    pair, metrics = pair_of(1500), ("linear_cka", "coral_distance")
    options = SimpleNamespace(seed=42, permutations=None, basis="procrustes", k=k, device="cpu")
    session: Any = SimpleNamespace(options=options)
    bench = SessionBench(session, "cka", lambda: (DX, DY, width))
    assert [bench.score(name, pair).params.get("form") for name in metrics] == [form, form]
    wide = np.random.default_rng(0).normal(size=(1500, width))
    arrays: dict[str, Any] = {"narrow": pair.x.values, "wide": wide}
    for score in score_arrays(arrays, pair.y.values, metrics=metrics, k=k).scores:
        assert score.params.get("form") == form


@pytest.mark.usefixtures("few_are_many")
def test_of_a_group_one_pair_counts() -> None:
    twice = pair_of(2400, tuple(f"g{i // 2}" for i in range(2400)))
    score = score_pair(METRICS.get("linear_cka"), twice, Settings(), experiment="cka")
    expected = evaluate(
        METRICS.get("linear_cka"),
        twice.x.values,
        twice.y.values,
        groups=twice.groups,
        null=False,
        interval=False,
    )
    assert score.n == 1200
    assert score.value == pytest.approx(expected.value, rel=1e-6)
    alone = score_pair(METRICS.get("spread"), twice, Settings(), experiment="cka")
    assert alone.value == pytest.approx(METRICS.get("spread")(twice.x.values), rel=1e-9)


@pytest.mark.usefixtures("few_are_many")
def test_pairs_of_groups_are_read_once_for_all_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def counted(*given: Any) -> Any:
        read.append(len(given[0]))
        return cross_cells(*given)

    monkeypatch.setattr(many, "cross_cells", counted)
    pair = pair_of(2400, tuple(f"g{i // 2}" for i in range(2400)))
    for name in ("linear_cka", "debiased_cka", "spread", "procrustes_similarity"):
        score_pair(METRICS.get(name), pair, Settings(permutations=3), experiment="cka")
    assert read == [2400]


@pytest.mark.usefixtures("few_are_many")
def test_what_is_held_needs_no_further_room(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    monkeypatch.setattr(many, "check_room", asked.append)
    pair = pair_of(1500)
    for name in ("linear_cka", "debiased_cka"):
        score_pair(METRICS.get(name), pair, Settings(), experiment="cka")
    classes = 3  # whose means are moments, too
    assert asked == [8 * CELLS * size for size in (DX * (DX + classes), DY * (DY + classes), DX * DY)]


def test_a_side_that_pairs_share_is_held_and_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, _ = data(200)
    of = cells_of(np.arange(200).astype(str), 0)
    a, b = side_cells(x, of), side_cells(y, of)
    owners = [pair_of(2).x for _ in range(4)]
    size = a.nbytes + b.nbytes + cross_cells(x, y, a, b, of).nbytes
    held = many.Recent()

    def pair_number(number: int) -> PairCells:
        return held.get([owners[number]], "pair", lambda: PairCells(a, b, cross_cells(x, y, a, b, of)))

    monkeypatch.setattr(many, "available_memory", lambda: None)
    monkeypatch.setattr(many, "HELD", size + DX * DY * 8 * CELLS)
    first, second = pair_number(0), pair_number(1)
    assert pair_number(0) is first
    assert pair_number(2) is not second
    assert pair_number(0) is first
    assert pair_number(1) is not second
    monkeypatch.setattr(many, "HELD", size - 1)
    pair_number(3)
    assert pair_number(0) is not first


def test_moments_are_free_as_soon_as_nobody_holds_them() -> None:
    x, y, labels = data(200)
    found = cells(x, y, labels)
    assert found.whole.sums.n > found.deletions(CELLS)[0].sums.n
    gone = ref(found.parts[2])
    gc.disable()
    try:
        del found
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.usefixtures("few_are_many")
def test_sides_are_taken_up_again_but_never_mistaken() -> None:
    pair = pair_of(1500)
    linear = METRICS.get("linear_cka")
    first = score_pair(linear, pair, Settings(), experiment="cka").value
    swapped = replace(pair, y=replace(pair.y, values=pair.y.values[::-1].copy()))
    assert score_pair(linear, swapped, Settings(), experiment="cka").value != pytest.approx(first, rel=1e-3)
    assert score_pair(linear, pair, Settings(), experiment="cka").value == first
    changed = pair.x.values.copy()
    again = replace(pair, x=replace(pair.x, values=changed))
    assert score_pair(linear, again, Settings(), experiment="cka").value == first
    changed[:] = changed[::-1]  # in place, and scored as new embeddings, as `score_arrays` does
    again = replace(pair, x=replace(pair.x, values=changed))
    assert score_pair(linear, again, Settings(), experiment="cka").value != pytest.approx(first, rel=1e-3)
    other = score_pair(linear, pair, Settings(seed=1), experiment="cka")
    assert other.value == pytest.approx(first, rel=1e-9)
    assert other.deletions != score_pair(linear, pair, Settings(), experiment="cka").deletions


def test_a_usual_number_of_pairs_is_scored_as_before() -> None:
    x, y, _ = data(90)
    score = score_arrays(x, y, metrics="linear_cka").scores[0]
    assert "form" not in score.params
    assert score.null is not None
    assert score.null.draws == 999


MEMORY = """
import resource, sys
import numpy as np
from alignbench.metrics import METRICS
from alignbench.experiments.scoring import Settings, score_pair
from alignbench.types import Embeddings, ModelInfo, Pair
from alignbench.workshop.measure._memory import peak_mib
n, d = 100_000, 64
ids = tuple(map(str, range(n)))
rng = np.random.default_rng(0)
x, y = rng.standard_normal((2, n, d), dtype=np.float32)
sides = [Embeddings(ModelInfo(s, s, "other", s, "random"), v, ids) for s, v in (("vision", x), ("text", y))]
pair = Pair(*sides, ("all",) * n, ids, "made")
names = [n for n in METRICS if METRICS.get(n).streamed and METRICS.get(n).kind == "pair"]
score_pair(METRICS.get("spread"), pair, Settings(), experiment="cka")
before = peak_mib()
for name in names:
    score_pair(METRICS.get(name), pair, Settings(permutations=3), experiment="cka")
print(peak_mib() - before)
"""


@pytest.mark.slow
def test_moments_take_the_memory_of_a_chunk() -> None:
    command = [sys.executable, "-c", MEMORY]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert float(result.stdout) < 80  # the arrays in float64 are 98 MiB, and each copy as much again


@dataclass(frozen=True)
class Held:
    """Moments that take a byte."""

    number: int
    nbytes: int = 1

    @property
    def parts(self) -> tuple[Held]:
        """Itself."""
        return (self,)


def test_threads_may_ask_for_moments_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "available_memory", lambda: None)
    monkeypatch.setattr(many, "HELD", 50)
    interval = sys.getswitchinterval()
    recent: Any = many.Recent()
    model = pair_of(2).x

    def ask(start: int) -> bool:
        wanted = [(start * number) % 101 for number in range(400)]
        return all(recent.get([model], key, lambda key=key: Held(key)).number == key for key in wanted)

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(ask, range(1, 9)))
    finally:
        sys.setswitchinterval(interval)
