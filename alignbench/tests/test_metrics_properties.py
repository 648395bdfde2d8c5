"""Every registered metric keeps what it declares, on hostile inputs too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alignbench.errors import DegenerateError, InputError, TooFewSamplesError
from alignbench.metrics import METRICS, Metric
from alignbench.metrics.properties import MetricInput, check_property, declared_properties
from alignbench.metrics.strategies import cases, examples, try_cases

QUICK = settings(
    deadline=None, max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


def arguments(metric: Metric, n: int, *, constant: str = "") -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return generic arguments of the metric, with one side constant where asked."""
    rng = np.random.default_rng(n)
    labels = np.arange(n) % 2
    sides = {"x": rng.normal(size=(n, 4)), "y": rng.normal(size=(n, 4))}
    if constant:
        sides[constant] = np.full((n, 4), 0.1)
    second = {"labelled": (labels,), "unary": ()}.get(metric.kind, (sides["y"],))
    keywords: dict[str, Any] = {"labels": labels} if "labels" in metric.keywords else {}
    if metric.same_width:
        keywords["align"] = "none"
    return (sides["x"], *second), keywords


@pytest.mark.slow
@pytest.mark.parametrize("name", METRICS.names())
@given(data=st.data())
@QUICK
def test_declared_properties_hold_on_hostile_inputs(name: str, data: st.DataObject) -> None:
    metric = METRICS.get(name)
    case = data.draw(cases(metric))
    seed = data.draw(st.integers(0, 1000))
    for declared in declared_properties(metric):
        check_property(metric, declared, case.x, case.y, case.labels, seed=seed)


def test_examples_are_the_cases_that_are_tried() -> None:
    metric = METRICS.get("linear_cka")
    tried: list[MetricInput] = []
    try_cases(metric, 5, tried.append)
    drawn = examples(metric, 5)
    assert 1 < len(drawn) <= 5
    for one, other in zip(tried, drawn, strict=True):
        np.testing.assert_array_equal(one.x, other.x)
        np.testing.assert_array_equal(one.y, other.y)


@pytest.mark.slow
def test_of_cases_that_fail_the_smallest_is_shown() -> None:
    metric, failed = METRICS.get("linear_cka"), []

    def check(case: MetricInput) -> None:
        if len(case.x) > 5:
            failed.append(len(case.x))
            raise AssertionError("too many rows")

    with pytest.raises(AssertionError, match="too many rows"):
        try_cases(metric, 20, check)
    assert max(failed) > failed[-1] == 6


@pytest.mark.parametrize("name", [n for n in METRICS if "isotropic_scale" in METRICS.get(n).invariant_to])
@pytest.mark.parametrize("exponent", [-120, -30, 30, 120])
def test_scale_invariance_holds_far_beyond_the_range_of_squares(name: str, exponent: int) -> None:
    metric = METRICS.get(name)
    (x, *rest), keywords = arguments(metric, 24)
    scaled = [side * 10.0**exponent if metric.two_sided else side for side in rest]
    assert metric(x * 10.0**exponent, *scaled, **keywords) == pytest.approx(
        metric(x, *rest, **keywords), abs=1e-12
    )


@pytest.mark.parametrize(
    ("name", "side"), [(n, side) for n in METRICS for side in ("x", "y")[: 1 + METRICS.get(n).two_sided]]
)
def test_a_constant_side_is_degenerate(name: str, side: str) -> None:
    metric = METRICS.get(name)
    positional, keywords = arguments(metric, 24, constant=side)
    with pytest.raises(DegenerateError, match="variance"):
        metric(*positional, **keywords)


@pytest.mark.parametrize("name", METRICS.names())
def test_one_row_too_few_is_refused(name: str) -> None:
    metric = METRICS.get(name)
    positional, keywords = arguments(metric, metric.min_n - 1)
    with pytest.raises(TooFewSamplesError, match=f"at least {metric.min_n} rows, got {metric.min_n - 1}"):
        metric(*positional, **keywords)


@pytest.mark.parametrize("name", METRICS.names())
def test_the_fewest_rows_are_enough(name: str) -> None:
    metric = METRICS.get(name)
    positional, keywords = arguments(metric, metric.min_n)
    assert np.isfinite(metric(*positional, **keywords))


@pytest.mark.parametrize("name", METRICS.names(kind="pair"))
def test_a_metric_that_does_not_see_the_pairing_ignores_it(name: str) -> None:
    metric = METRICS.get(name)
    (x, y), keywords = arguments(metric, 30)
    shuffled = y[np.random.default_rng(5).permutation(30)]
    same = metric(x, y, **keywords) == pytest.approx(metric(x, shuffled, **keywords), abs=1e-12)
    assert same is not metric.pairing


def metric_of(fn: Any, **declared: Any) -> Metric:
    return Metric(name="third_party", fn=fn, bounds=(0, 1), **declared)


X = np.random.default_rng(0).normal(size=(12, 3))
Y = np.random.default_rng(1).normal(size=(12, 3))


def asymmetric(x: Any, y: Any) -> float:
    return float(abs(x[0, 0]) / (abs(x[0, 0]) + abs(y[1, 1])))


def spoiling(x: Any, y: Any) -> float:
    x *= 0.5
    return 0.5


@pytest.mark.parametrize(
    ("prop", "metric"),
    [
        ("symmetric", metric_of(asymmetric, symmetric=True)),
        ("self_value", metric_of(lambda x, y: 0.25, self_value=1.0)),
        ("rotation", metric_of(asymmetric, invariant_to=("rotation",))),
        ("joint_rotation", metric_of(asymmetric, invariant_to=("joint_rotation",), same_width=True)),
        ("isotropic_scale", metric_of(asymmetric, invariant_to=("isotropic_scale",))),
        ("translation", metric_of(asymmetric, invariant_to=("translation",))),
        ("joint_translation", metric_of(asymmetric, invariant_to=("joint_translation",), same_width=True)),
        ("row_order", metric_of(asymmetric)),
        ("inputs_unchanged", metric_of(spoiling)),
    ],
)
def test_a_false_declaration_is_caught(prop: str, metric: Metric) -> None:
    assert prop in declared_properties(metric)
    with pytest.raises(AssertionError, match=r"third_party"):
        check_property(metric, prop, X, Y)


def test_a_value_out_of_bounds_is_an_error_not_a_number() -> None:
    with pytest.raises(ArithmeticError, match=r"third_party: 1\.5 is outside its bounds \[0, 1\]"):
        metric_of(lambda x, y: 1.5)(X, Y)


def test_a_nan_is_not_a_score() -> None:
    with pytest.raises(DegenerateError, match="nan"):
        metric_of(lambda x, y: float("nan"))(X, Y)


def test_unknown_properties_and_invariances_are_refused() -> None:
    with pytest.raises(InputError, match="unknown property 'beauty'"):
        check_property(METRICS.get("linear_cka"), "beauty", X, Y)
    with pytest.raises(InputError, match="unknown invariances"):
        metric_of(asymmetric, invariant_to=("shear",))


@pytest.mark.parametrize("name", ["joint_rotation", "joint_translation"])
def test_one_map_of_both_sides_needs_sides_of_one_width(name: str) -> None:
    with pytest.raises(InputError, match=rf"third_party: {name} is one map for both.*same_width=True, or "):
        metric_of(asymmetric, invariant_to=(name,))
    assert metric_of(asymmetric, invariant_to=("joint_scale",)).invariant_to == ("joint_scale",)


@pytest.mark.parametrize("name", METRICS.names())
def test_every_metric_is_defined_in_the_docs(name: str) -> None:
    page = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert f"`{name}`" in page


def test_the_metric_of_the_docs_keeps_what_it_declares() -> None:
    page = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n([^`]*@METRICS.*?)```", page, re.DOTALL)
    exec(example, {})
    try:
        metric = METRICS.get("first_axis")
        for declared in declared_properties(metric):
            for width in (1, 3):
                check_property(metric, declared, X, Y[:, :width])
    finally:
        METRICS.remove("first_axis")
