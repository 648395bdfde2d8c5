"""Checks of the declared properties of a metric; every registered metric is checked.

    for name in declared_properties(metric):
        check_property(metric, name, x, y, labels)

raises an AssertionError that says what was declared and what came out. Any arrays will do;
`alignbench.metrics.strategies` has hostile ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import DegenerateError, InputError
from alignbench.metrics.base import INVARIANCES, Metric
from alignbench.metrics.checks import ROUNDING

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]

ALWAYS = ("bounds", "inputs_unchanged", "dtype", "row_order", "degenerate")
TOLERANCE = 1e-6  # of max(1, |value|): hostile inputs cost a few digits, a wrong formula costs all of them


@dataclass(frozen=True, slots=True)
class MetricInput:
    """Input of a metric: x [n, dx], y [n, dy] and the class of each row [n]; each row is its own group."""

    x: Array
    y: Array
    labels: Array
    groups: Array

    @classmethod
    def of(cls, x: Array, y: Array | None = None, labels: Array | None = None) -> MetricInput:
        """Return the input; a missing y is x, and missing labels alternate between two classes."""
        rows = np.arange(len(x))
        return cls(x, x if y is None else y, rows % 2 if labels is None else labels, rows)

    def take(self, rows: Array) -> MetricInput:
        """Return the input with these rows only."""
        return MetricInput(self.x[rows], self.y[rows], self.labels[rows], self.groups[rows])


def declared_properties(metric: Metric) -> tuple[str, ...]:
    """Return the names of all checks that apply to the metric, for `check_property`."""
    names = list(ALWAYS)
    if metric.two_sided and metric.symmetric:
        names.append("symmetric")
    if metric.two_sided and metric.self_value is not None:
        names.append("self_value")
    return (*names, *metric.invariant_to)


def check_property(
    metric: Metric,
    name: str,
    x: Array,
    y: Array | None = None,
    labels: Array | None = None,
    *,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> None:
    """Check one property of `metric` on these arrays.

    Args:
        metric: the metric whose declaration is checked.
        name: one of `declared_properties(metric)`.
        x: [n, dx], n ≥ the metric's min_n.
        y: [n, dy], with x's width if the metric needs equal widths; by default, x.
        labels: the class of each row; by default, two classes in turn.
        seed: the seed of the rotations, scales, shifts and orders that are tried.
        tolerance: the allowed difference, relative to the larger of 1 and the value.

    Raises:
        AssertionError: the property does not hold.
        InputError: there is no such property.
    """
    from alignbench.stats.splits import rng_for

    case = MetricInput.of(x, y, labels)
    rng = rng_for(seed, "property", metric.name, name)
    if name in CHECKS:
        CHECKS[name](metric, case, rng, tolerance)
    elif name in INVARIANCES:
        _check_equal(
            metric, name, _score(metric, case), _score(metric, transformed(case, name, rng)), tolerance
        )
    else:
        known = ", ".join((*CHECKS, *INVARIANCES))
        raise InputError(f"{metric.name}: unknown property {name!r}; known: {known}")


def transformed(case: MetricInput, name: str, rng: np.random.Generator) -> MetricInput:
    """Return the input after a map that a metric invariant to `name` does not see."""
    joint, kind = name.startswith("joint_"), name.removeprefix("joint_")
    maps: dict[str, Callable[[Array], Callable[[Array], Array]]] = {
        "rotation": lambda side: _rotation(side, rng),
        "isotropic_scale": lambda side: _scale(rng),
        "scale": lambda side: _scale(rng),
        "translation": lambda side: _translation(side, rng),
    }
    move_x = maps[kind](case.x)
    move_y = move_x if joint else maps[kind](case.y)
    return replace(case, x=move_x(case.x), y=move_y(case.y))


def _rotation(side: Array, rng: np.random.Generator) -> Callable[[Array], Array]:
    q, _ = np.linalg.qr(rng.normal(size=(side.shape[1], side.shape[1])))
    return lambda array: array @ q


def _scale(rng: np.random.Generator) -> Callable[[Array], Array]:
    factor = 10.0 ** rng.uniform(-3, 3)
    return lambda array: array * factor


def _translation(side: Array, rng: np.random.Generator) -> Callable[[Array], Array]:
    shift = rng.normal(size=side.shape[1]) * 3 * np.abs(side).max()
    return lambda array: array + shift


def _score(metric: Metric, case: MetricInput) -> float | None:
    """Return the score, or None if the metric says that it does not exist."""
    data = {"labels": case.labels, "groups": case.groups, "seed": 0}
    keywords = {name: data[name] for name in metric.keywords}
    if metric.settings is not None and "align" in metric.settings(
        len(case.x), (case.x.shape[1], case.y.shape[1])
    ):
        keywords["align"] = "none"
    other = {"labelled": case.labels, "unary": None}.get(metric.kind, case.y)
    try:
        return metric(case.x, other, **keywords)
    except DegenerateError:
        return None


def _check_equal(metric: Metric, name: str, a: float | None, b: float | None, tolerance: float) -> None:
    if a is None and b is None:
        return
    if a is None or b is None:
        raise AssertionError(
            f"{metric.name}, {name}: the value exists only in one of two equal cases: {a}, {b}"
        )
    if abs(a - b) > tolerance * max(1.0, abs(a)):
        raise AssertionError(f"{metric.name}, {name}: expected equal values, got {a!r} and {b!r}")


def _check_bounds(metric: Metric, case: MetricInput, rng: np.random.Generator, tolerance: float) -> None:
    score = _score(metric, case)
    low, high = metric.bounds
    if score is not None and not low - ROUNDING <= score <= high + ROUNDING:
        raise AssertionError(f"{metric.name}, bounds: {score!r} is not in [{low}, {high}]")


def _check_unchanged(metric: Metric, case: MetricInput, rng: np.random.Generator, tolerance: float) -> None:
    copy = MetricInput(*(np.array(array) for array in (case.x, case.y, case.labels, case.groups)))
    first, second = _score(metric, copy), _score(metric, copy)
    for name in ("x", "y", "labels"):
        if not np.array_equal(getattr(copy, name), getattr(case, name)):
            raise AssertionError(f"{metric.name}, inputs_unchanged: {name} was changed")
    if first != second:
        raise AssertionError(f"{metric.name}: two calls with the same input give {first!r} and {second!r}")


def _check_dtype(metric: Metric, case: MetricInput, rng: np.random.Generator, tolerance: float) -> None:
    for dtype in (np.float16, np.float32, np.int64):
        with np.errstate(over="ignore"):
            narrow = replace(case, x=case.x.astype(dtype), y=case.y.astype(dtype))
        if not (np.isfinite(narrow.x).all() and np.isfinite(narrow.y).all()):
            continue
        wide = replace(narrow, x=narrow.x.astype(np.float64), y=narrow.y.astype(np.float64))
        _check_equal(metric, f"dtype {np.dtype(dtype)}", _score(metric, wide), _score(metric, narrow), 0.0)


def _check_order(metric: Metric, case: MetricInput, rng: np.random.Generator, tolerance: float) -> None:
    reordered = case.take(rng.permutation(len(case.x)))
    _check_equal(metric, "row_order", _score(metric, case), _score(metric, reordered), tolerance)


def _check_degenerate(metric: Metric, case: MetricInput, rng: np.random.Generator, tolerance: float) -> None:
    for side in ("x", "y") if metric.two_sided else ("x",):
        array = getattr(case, side)
        for value in (np.zeros_like(array), np.broadcast_to(array[:1], array.shape)):
            score = _score(metric, replace(case, **{side: value}))
            if score is not None and not np.isfinite(score):
                raise AssertionError(f"{metric.name}, degenerate: constant {side} gives {score}")


def _check_symmetric(metric: Metric, case: MetricInput, rng: np.random.Generator, tolerance: float) -> None:
    swapped = replace(case, x=case.y, y=case.x)
    _check_equal(metric, "symmetric", _score(metric, case), _score(metric, swapped), tolerance)


def _check_self(metric: Metric, case: MetricInput, rng: np.random.Generator, tolerance: float) -> None:
    score = _score(metric, replace(case, y=case.x))
    if score is not None:
        _check_equal(metric, "self_value", metric.self_value, score, tolerance)


CHECKS: dict[str, Callable[[Metric, MetricInput, np.random.Generator, float], None]] = {
    "bounds": _check_bounds,
    "inputs_unchanged": _check_unchanged,
    "dtype": _check_dtype,
    "row_order": _check_order,
    "degenerate": _check_degenerate,
    "symmetric": _check_symmetric,
    "self_value": _check_self,
}
